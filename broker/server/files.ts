// The broker's files: whole or not there, and for its owner only.

import { mkdir, readdir } from 'node:fs/promises';
import { codeOf } from '#lib/errors';
import * as durable from '#lib/durable';

/** Replaces a file; readers see the old contents or the new, also after a power cut. Mode 0600. */
export async function writeWhole(path: string, contents: string | Uint8Array): Promise<void> {
  await durable.replaceFile(path, contents, 0o600);
}

/** A directory that only its owner may enter. */
export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}

/** Undefined when there is no such file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  return (await durable.readIfThere(path))?.toString('utf8');
}

/** Names in a directory, sorted; none when it is not there. */
export async function namesIn(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
