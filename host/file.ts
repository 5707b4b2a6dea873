// Small files of a host's own state: whole or not there, whatever happens meanwhile.

import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import { messageOf } from '#lib/errors';

/** Replaces `path` by a file that only its owner reads; after a power cut it is the old one or the new one. */
export async function writeStateFile(path: string, text: string): Promise<void> {
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await using file = await open(draft, 'w', 0o600);
    await file.writeFile(text);
    await file.sync();
    await rename(draft, path);
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => undefined);
    const reason = messageOf(cause);
    throw new Error(`Cannot write ${path}: ${reason}`, { cause });
  }
}
