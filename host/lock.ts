// The right to change this host's network: one process at a time has it.

import { mkdir, open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { flock } from '#lib/linux';
import { UnfitHostError } from './check.ts';

/** Another process applies plans to this host. */
export class HostLockedError extends UnfitHostError {
  override readonly name = 'HostLockedError';
  /** Who holds the lock, as it wrote itself down: `isthmus-gateway, process 4711`. */
  readonly holder: string;

  constructor(action: string, holder: string) {
    super(
      `Cannot ${action}: ${holder} changes this host's network already. Stop it first: two of them would undo each other's work`,
    );
    this.holder = holder;
  }
}

/** Whoever was given another state directory finds the others here. Nothing in it outlives a boot, as no network does. */
const RUN_DIR = '/run/isthmus';

/**
 * Takes the locks of this host's state and of its network, and holds them until disposed or the process ends, however it ends.
 *
 * The locks are flock(2)'s: nothing is left to clean up, not even by `kill -9`.
 * @param program what the holder calls itself, for the next who asks
 * @throws {HostLockedError} when another process has one of them
 */
export async function lockHost(
  stateDir: string,
  program: string,
  runDir: string = RUN_DIR,
): Promise<AsyncDisposable> {
  const { ino: network } = await stat('/proc/self/ns/net');
  await using held = new AsyncDisposableStack();
  held.use(await lockFile(join(stateDir, 'lock'), program));
  held.use(await lockFile(join(runDir, `network-${network}.lock`), program));
  return held.move();
}

async function lockFile(path: string, program: string): Promise<AsyncDisposable> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(path, 'a+', 0o600);
  try {
    if (!(await flock(file))) throw new HostLockedError(`start ${program}`, await holder(file));
    await sign(file, `${program}, process ${process.pid}\n`).catch(() => undefined);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** For the next who asks, and no more: a full disk does not keep a host from its lock. */
async function sign(file: FileHandle, name: string): Promise<void> {
  await file.truncate();
  await file.write(name);
}

async function holder(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(200), 0, 200, 0);
  const text = buffer.toString('utf8', 0, bytesRead).trim();
  return text === '' ? 'another process' : text;
}
