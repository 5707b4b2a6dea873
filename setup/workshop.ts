// A place to work in for what is fetched: on the disk of the cache, so that a rename puts the result there whole, and gone afterwards.

import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';

/** Everything that set-up makes stands below it. */
export const cache = path.join(path.dirname(import.meta.dirname), '.cache');

/** Five minutes: a slow line still passes, a dead one ends. */
export const FETCH = { timeout: 300_000, maxBuffer: 16 * 1024 * 1024 };

/** Runs the step in an empty directory that goes away afterwards, and clears those that killed runs left. */
export async function inWorkshop(step: (directory: string) => Promise<void>): Promise<void> {
  await mkdir(path.join(cache, 'bin'), { recursive: true });
  for (const name of await readdir(cache)) {
    const [, pid] = /^fetch-(\d+)-/.exec(name) ?? [];
    // What another user's run left may not be ours to remove.
    if (pid !== undefined && !isAlive(Number(pid)))
      await rm(path.join(cache, name), { recursive: true, force: true }).catch(() => {});
  }
  const directory = await mkdtemp(path.join(cache, `fetch-${process.pid}-`));
  try {
    await step(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
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
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  const text = stderr === '' ? (error instanceof Error ? error.message : String(error)) : stderr;
  return text.split('\n').slice(-8).join('\n');
}
