// The archive that the virtual machine's kernel starts from: a few of this machine's own programs, and modules of that kernel.

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Kernel } from '#setup';
import { cpio, withDirectories, type CpioEntry } from './cpio.ts';
import { initScript, type GuestCommand } from './guest.ts';

const run = promisify(execFile);

/** What {@link initScript} runs, wherever it stands on this machine. */
const PROGRAMS = ['sh', 'mount', 'mkdir', 'switch_root', 'insmod'] as const;
/** What it takes to see the shared root; everything else is loaded from there. */
const MODULES = ['virtio_pci', 'virtiofs', 'overlay'] as const;
const MOUNT_POINTS = ['proc', 'sys', 'dev', 'run', 'lower', 'upper', 'new'] as const;

/** Reads `ldd`: the files that a program loads, the loader among them. */
export function parseLdd(said: string): readonly string[] {
  return Array.from(said.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm), ([, file = '']) => file);
}

/** Reads `modprobe --show-depends`: files in the order in which they are to be loaded; what is built in has none. */
export function parseDepends(said: string): readonly string[] {
  return [...new Set(Array.from(said.matchAll(/^insmod (\S+)/gm), ([, file = '']) => file))];
}

async function locate(program: string): Promise<string> {
  const { stdout } = await run('sh', ['-c', 'command -v "$0"', program]);
  return stdout.trim();
}

/** One that is linked statically loads nothing, and `ldd` fails. */
async function librariesOf(file: string): Promise<readonly string[]> {
  const { stdout } = await run('ldd', [file]).catch(() => ({ stdout: '' }));
  return parseLdd(stdout);
}

async function programs(): Promise<readonly CpioEntry[]> {
  const found = await Promise.all(
    PROGRAMS.map(async (name) => ({ path: `bin/${name}`, file: await locate(name) })),
  );
  const libraries = await Promise.all(found.map(({ file }) => librariesOf(file)));
  // The loader looks for them where they stand here.
  const files = [...new Set(libraries.flat())].map((file) => ({ path: file.slice(1), file }));
  return await Promise.all(
    [...found, ...files].map(async ({ path, file }) => ({
      path,
      data: await readFile(file),
      isExecutable: true,
    })),
  );
}

async function modulesOf({ root, release }: Kernel): Promise<readonly string[]> {
  const args = ['--dirname', root, '--set-version', release, '--show-depends'];
  const said = await Promise.all(MODULES.map((name) => run('modprobe', [...args, name])));
  return parseDepends(said.map(({ stdout }) => stdout).join('\n'));
}

/** The archive that starts a kernel which runs one command. */
export async function makeInitrd(kernel: Kernel, command: GuestCommand): Promise<Buffer> {
  const modules = await modulesOf(kernel);
  const names = modules.map((file) => path.basename(file));
  const points = MOUNT_POINTS.map((name) => ({ path: `${name}/.keep`, data: Buffer.alloc(0) }));
  const loaded = modules.map(async (file, at) => ({ path: `m/${names[at]}`, data: await readFile(file) }));
  const init = Buffer.from(initScript(names, kernel.root, command));
  return cpio(
    withDirectories([
      ...points,
      { path: 'init', data: init, isExecutable: true },
      ...(await programs()),
      ...(await Promise.all(loaded)),
    ]),
  );
}
