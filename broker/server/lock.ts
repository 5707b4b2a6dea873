// The right to run the broker of one data directory: one process at a time has it.

import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { flock } from '#lib/linux';

/** Another process runs the broker of this data directory. */
export class BrokerRunningError extends Error {
  override readonly name = 'BrokerRunningError';
}

/**
 * Held until disposed or until the process ends, however it ends: the lock is flock(2)'s.
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
