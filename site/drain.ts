// `drains.yaml`, changed by one process at a time: whoever has read it writes before anybody else reads.

import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { flock } from '#lib/linux';
import type { Drains } from './parse.ts';
import { DRAINS_FILE, SiteReader } from './read.ts';
import { renderDrains } from './render.ts';
import { writeDrains } from './write.ts';

/** Beside the file, which is replaced; the dot keeps it out of listings. */
const LOCK_FILE = '.drains.lock';
/** Milliseconds that others may hold the lock, which takes them some ten, and between two attempts. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 50;

/**
 * Writes what `change` makes of what is drained now; what it throws leaves all as it is.
 *
 * @returns whether it is something else now
 * @throws {Error} with the code `ENOENT` where there is no such directory
 * @throws {SiteError} when the file cannot be used
 */
export async function changeDrains(
  directory: string,
  change: (drains: Drains) => Drains,
  signal?: AbortSignal,
): Promise<boolean> {
  await using held = new AsyncDisposableStack();
  held.use(await lock(directory, signal));
  const { drains } = await new SiteReader(directory).drains();
  const changed = change(drains);
  if (renderDrains(changed) === renderDrains(drains)) return false;
  await writeDrains(directory, changed);
  return true;
}

/** The file stays: whoever removed it would take the lock from those that wait. */
async function lock(directory: string, signal: AbortSignal | undefined): Promise<AsyncDisposable> {
  const file = await open(join(directory, LOCK_FILE), 'a+', 0o600);
  try {
    for (const end = performance.now() + PATIENCE_MS; !(await flock(file));) {
      if (performance.now() > end)
        throw new Error(
          `Cannot change ${DRAINS_FILE}: others have been changing it for ${PATIENCE_MS / 1000} s. Try again`,
        );
      await delay(RETRY_MS, undefined, { signal });
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
