// The right to run the broker of one data directory: one process at a time has it.

import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

/** Another process runs the broker of this data directory. */
export class BrokerRunningError extends Error {
  override readonly name = 'BrokerRunningError';
}

/**
 * Held until disposed or until the process ends, however it ends: the lock is flock(2)'s, taken by util-linux's flock
 * for the open file that it inherits from us.
 * @throws {BrokerRunningError} when somebody else has it
 */
export async function lockDataDirectory(root: string): Promise<AsyncDisposable> {
  const file = await open(join(root, 'lock'), 'a+', 0o600);
  try {
    if (!(await flock(file))) throw new BrokerRunningError(await refusal(root, file));
    await file.truncate();
    await file.write(`${process.pid}\n`);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function refusal(root: string, file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(20), 0, 20, 0);
  const pid = buffer.toString('utf8', 0, bytesRead).trim();
  const who = pid === '' ? 'another process' : `process ${pid}`;
  return `Cannot use the data directory "${root}": ${who} runs its broker already. Stop that one first`;
}

/** False when somebody else has the lock. */
function flock(file: FileHandle): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'ignore', 'pipe', file.fd] as const;
    const child = spawn('flock', ['--exclusive', '--nonblock', '3'], { stdio: [...stdio] });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.on('error', (cause) => {
      reject(new Error('Cannot lock the data directory: flock of util-linux does not run', { cause }));
    });
    child.on('close', (code) => {
      if (code === 0 || (code === 1 && said === '')) return resolve(code === 0);
      return reject(new Error(`Cannot lock the data directory: flock said: ${said.trim()}`));
    });
  });
}
