// Takes a lab down when whoever built it has been killed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { signal } from '../destroy.ts';

/** It waits for the end of its input, which comes with the end of this process; a shell, because that is smaller than a Node. */
const SCRIPT = 'cat >/dev/null; exec "$0" "$1" down "$2"';
const MAIN = path.join(import.meta.dirname, '..', 'main.ts');

/** From now on until it is disposed of, which is after the lab. A group of its own, or Ctrl-C would end it first. */
export function guard(lab: string): AsyncDisposable {
  const child = spawn('sh', ['-c', SCRIPT, process.execPath, MAIN, lab], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const closed = once(child, 'close');
  closed.catch(() => {});
  return {
    [Symbol.asyncDispose]: async () => {
      if (child.pid !== undefined) signal(-child.pid, 'SIGKILL');
      await closed;
    },
  };
}
