// Replaces and reads small files.

import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '#lib/errors';

/**
 * Writes beside the file, syncs, renames over it, and syncs the directory, so that the name survives as well. One writer at a time.
 * @param mode as of chmod(2); a file that was there before has it as well then
 * @throws {Error} of the system, with its code; the old file stands, unless all that failed was to sync the directory
 */
export async function replaceFile(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  const beside = `${path}.new`;
  try {
    await writeSynced(beside, data, mode);
    await rename(beside, path);
  } catch (error) {
    // On a full disk, half a file is what fills it.
    await rm(beside, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function writeSynced(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  await using file = await open(path, 'w', mode);
  // A file left by a killed run keeps its mode otherwise.
  await file.chmod(mode);
  await file.writeFile(data);
  await file.sync();
}

/** Names in it that came or went are so on disk as well. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

/** The file's bytes; undefined when there is none. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
