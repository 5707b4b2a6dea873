// A place to work in for what is fetched: on the disk of the cache, so that a rename puts the result there whole, and gone afterwards.

import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { SetupError } from './say.ts';

/** Everything that set-up makes stands below it. */
export const cache = path.join(path.dirname(import.meta.dirname), '.cache');

/** Five minutes: a slow line still passes, a dead one ends. */
export const FETCH = { timeout: 300_000, maxBuffer: 16 * 1024 * 1024 };

/**
 * Runs the step in an empty directory that goes away afterwards, and clears those that killed runs left.
 *
 * @throws {SetupError} if the checkout is somebody else's
 */
export async function inWorkshop(step: (directory: string) => Promise<void>): Promise<void> {
  const directory = await open();
  try {
    await step(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function open(): Promise<string> {
  try {
    return await clearAndMake();
  } catch (cause) {
    if (!(cause instanceof Error && /^(EACCES|EPERM|EROFS)\b/.test(cause.message))) throw cause;
    const remedy = 'Run the command once as the owner of this checkout or as root';
    throw new SetupError(`Cannot write to ${cache}: ${cause.message}. ${remedy}`, { cause });
  }
}

async function clearAndMake(): Promise<string> {
  await mkdir(path.join(cache, 'bin'), { recursive: true });
  for (const name of await readdir(cache)) {
    const [, pid] = /^fetch-(\d+)-/.exec(name) ?? [];
    // What another user's run left may not be ours to remove.
    if (pid !== undefined && !isAlive(Number(pid)))
      await rm(path.join(cache, name), { recursive: true, force: true }).catch(() => {});
  }
  return await mkdtemp(path.join(cache, `fetch-${process.pid}-`));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** What a failed program complained of, or an error says. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error && 'killed' in error && error.killed === true)
    return `it was not done after ${FETCH.timeout / 60_000} minutes`;
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  const text = stderr === '' ? (error instanceof Error ? error.message : String(error)) : stderr;
  return text.split('\n').slice(-8).join('\n');
}
