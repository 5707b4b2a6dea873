// Takes a lab down when whoever built it ends without doing so.

import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import type { Home } from './home.ts';

/** It waits for the end of its input, which comes with the end of this process; a shell, because that is smaller than a Node. */
const SCRIPT = 'cat >/dev/null; [ ! -d "$1" ] || [ -e "$2" ] || exec "$0" "$3" down "$4"';
const MAIN = path.join(import.meta.dirname, 'main.ts');

/** From now on; a lab that is kept, or gone by then, is no matter of it. A group of its own, or Ctrl-C would end it first. */
export function guard({ lab, root, kept }: Home): void {
  const child = spawn('sh', ['-c', SCRIPT, process.execPath, root, kept, MAIN, lab], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Neither the child nor its pipe keeps this process alive.
  child.on('error', () => {});
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
}
