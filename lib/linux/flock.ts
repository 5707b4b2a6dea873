// flock(2), which Node lacks: taken by util-linux's flock for an open file that it inherits from us.

import { spawn } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';

/**
 * Locks an open file. The lock stays with whoever has the file open, so it ends with the handle or the process, however
 * that ends, and leaves nothing to clean up.
 * @returns false when somebody else has the lock
 * @throws {Error} where flock does not run or the file system has no locks
 */
export function flock(file: FileHandle): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'ignore', 'pipe', file.fd] as const;
    const child = spawn('flock', ['--exclusive', '--nonblock', '3'], { stdio: [...stdio] });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.on('error', (cause) => {
      reject(
        new Error('Cannot lock a file: flock of util-linux does not run. Install util-linux', { cause }),
      );
    });
    child.on('close', (code) => {
      if (code === 0 || (code === 1 && said === '')) return resolve(code === 0);
      return reject(
        new Error(`Cannot lock a file: flock of util-linux ended with status ${code}: ${said.trim()}`),
      );
    });
  });
}
