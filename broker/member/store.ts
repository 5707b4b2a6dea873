// Last known good: what was believed, on disk as the bytes that were signed.
//
//   magic | frame | frame | …        frame: u32 length | u32 CRC-32 | u16 subject length | subject | bytes
//
// One file: a snapshot, and what came after it appended. It proves nothing by itself: whoever reads it judges every
// frame again. After any failed write the whole file is written anew, beside the old one, from what is in memory.

import type { FileHandle } from 'node:fs/promises';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { readIfThere, syncDirectory } from '#lib/durable';
import { messageOf } from '#lib/errors';

/** Something kept under its subject. */
export interface Frame {
  readonly subject: string;
  readonly bytes: Uint8Array;
}

export interface StoreOptions {
  readonly path: string;
  /** All that is worth keeping, for a new snapshot. */
  readonly live: () => Iterable<Frame>;
  /** Milliseconds between attempts while the disk refuses. @default 5000 */
  readonly retryMs?: number;
  /** Told of every change between working and not. */
  readonly onProblem?: (problem: string | undefined) => void;
}

/** What was read when the store was opened. */
export interface Loaded {
  readonly frames: readonly Frame[];
  /** Bytes at the end that were no whole frame: the mark of a crash in the middle of a write. */
  readonly lost: number;
}

const MAGIC = Buffer.from('isthmus-records-1\n');
const HEAD = 8;
/** A file is written anew when it is larger than this, in bytes, and four times what its last snapshot was. */
const COMPACT_FROM = 1 << 20;

/** Reads the file; what is damaged at its end is left out, and a file that is not ours counts as lost entirely. */
export async function loadFrames(path: string): Promise<Loaded> {
  const all = (await readIfThere(path)) ?? Buffer.alloc(0);
  if (all.length > 0 && !all.subarray(0, MAGIC.length).equals(MAGIC)) return { frames: [], lost: all.length };
  const frames: Frame[] = [];
  let at = Math.min(MAGIC.length, all.length);
  for (let frame = frameAt(all, at); frame !== undefined; frame = frameAt(all, at)) {
    frames.push(frame);
    at = frame.end;
  }
  return { frames, lost: all.length - at };
}

/** Appends in the background. Nothing that it does fails its caller: without a disk, memory goes on. */
export class Store implements AsyncDisposable {
  readonly #options: StoreOptions;
  #file: FileHandle | undefined;
  #size = 0;
  #snapshotSize = 0;
  #pending: Frame[] = [];
  /** The file may not hold what it should: the next write is a whole one. So is the first, which drops a torn tail. */
  #isStale = true;
  #isDue = false;
  #draining: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #problem: string | undefined;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** What the disk said when it last refused; undefined while all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Keeps a frame that `live` gives from now on. While the disk refuses, the retry finds it there. */
  append(frame: Frame): void {
    if (this.#problem !== undefined) return;
    this.#pending.push(frame);
    this.#drain();
  }

  /** Resolves when everything appended so far is on disk, or the disk has refused it. */
  async flush(): Promise<void> {
    while (this.#draining !== undefined) await this.#draining;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#retry);
    await this.flush();
    await this.#file?.close();
    this.#file = undefined;
  }

  #drain(): void {
    this.#isDue = true;
    this.#draining ??= this.#writeAll().finally(() => {
      this.#draining = undefined;
    });
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#isDue) {
        this.#isDue = false;
        const frames = this.#pending;
        this.#pending = [];
        await (this.#isStale || this.#isBloated() ? this.#rewrite() : this.#extend(frames));
        this.#report(undefined);
      }
    } catch (error) {
      this.#isStale = true;
      this.#pending = [];
      this.#report(messageOf(error));
      this.#retry = setTimeout(() => this.#drain(), this.#options.retryMs ?? 5000).unref();
    }
  }

  async #extend(frames: readonly Frame[]): Promise<void> {
    const bytes = Buffer.concat(frames.map(encodeFrame));
    const written = await this.#file?.write(bytes, 0, bytes.length, this.#size);
    // A disk that fills up takes a part, and complains at the next write only.
    if (written?.bytesWritten !== bytes.length) throw new Error('the disk takes no more');
    await this.#file?.datasync();
    this.#size += bytes.length;
  }

  /** The old file stays as it is until the new one is whole and synced. */
  async #rewrite(): Promise<void> {
    const { path, live } = this.#options;
    const bytes = Buffer.concat([MAGIC, ...Array.from(live(), encodeFrame)]);
    const file = await open(`${path}.new`, 'w', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
      await rename(`${path}.new`, path);
      await syncDirectory(dirname(path));
    } catch (error) {
      await file.close();
      // On a full disk, half a file is what fills it.
      await rm(`${path}.new`, { force: true });
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#isStale = false;
    this.#size = bytes.length;
    this.#snapshotSize = bytes.length;
  }

  #isBloated(): boolean {
    return this.#size > Math.max(COMPACT_FROM, 4 * this.#snapshotSize);
  }

  #report(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.onProblem?.(problem);
  }
}

function encodeFrame({ subject, bytes }: Frame): Buffer {
  const name = Buffer.from(subject);
  const frame = Buffer.alloc(HEAD + 2 + name.length + bytes.length);
  frame.writeUInt16BE(name.length, HEAD);
  name.copy(frame, HEAD + 2);
  frame.set(bytes, HEAD + 2 + name.length);
  frame.writeUInt32BE(frame.length - HEAD, 0);
  frame.writeUInt32BE(crc32(frame.subarray(HEAD)), 4);
  return frame;
}

/** The frame that begins at `at`, or undefined where there is no whole one. */
function frameAt(all: Buffer, at: number): (Frame & { readonly end: number }) | undefined {
  if (at + HEAD > all.length) return undefined;
  const end = at + HEAD + all.readUInt32BE(at);
  const body = all.subarray(at + HEAD, end);
  if (end > all.length || body.length < 2 || crc32(body) !== all.readUInt32BE(at + 4)) return undefined;
  const from = 2 + body.readUInt16BE(0);
  return { subject: body.toString('utf8', 2, from), bytes: body.subarray(from), end };
}
