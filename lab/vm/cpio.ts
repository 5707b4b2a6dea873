// Archives that the kernel unpacks as its first root (`newc` in cpio(5)).
// This module is pure.

export interface CpioEntry {
  /** Without a slash at its beginning; directories before what is in them. */
  readonly path: string;
  /** A directory has none. */
  readonly data?: Uint8Array;
  readonly isExecutable?: boolean;
}

const DIRECTORY = 0o040755;
const FILE = 0o100644;
const PROGRAM = 0o100755;
const END = 'TRAILER!!!';

/** Everything is padded to a multiple of four bytes. */
function padded(...parts: readonly Uint8Array[]): Buffer {
  const all = Buffer.concat(parts);
  return Buffer.concat([all, Buffer.alloc((4 - (all.length % 4)) % 4)]);
}

function record(name: string, mode: number, data: Uint8Array, inode: number): Buffer {
  const bytes = Buffer.from(`${name}\0`);
  // inode, mode, uid, gid, links, time, size, device, device's kind, length of the name, checksum
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, bytes.length, 0];
  const header = fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return Buffer.concat([padded(Buffer.from(`070701${header}`), bytes), padded(data)]);
}

function modeOf({ data, isExecutable = false }: CpioEntry): number {
  if (data === undefined) return DIRECTORY;
  return isExecutable ? PROGRAM : FILE;
}

/** The archive. Inodes are numbered, because two files of one number would be one file. */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const nothing = new Uint8Array();
  const records = entries.map((entry, at) =>
    record(entry.path, modeOf(entry), entry.data ?? nothing, at + 1),
  );
  return Buffer.concat([...records, record(END, 0, nothing, 0)]);
}

/** Puts the directories that files stand in before them. */
export function withDirectories(files: readonly CpioEntry[]): readonly CpioEntry[] {
  const directories = new Set<string>();
  for (const { path } of files) {
    const parts = path.split('/').slice(0, -1);
    for (const at of parts.keys()) directories.add(parts.slice(0, at + 1).join('/'));
  }
  return [...[...directories].map((path) => ({ path })), ...files];
}
