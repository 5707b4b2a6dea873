// The distribution's kernel for the tests' virtual machine, unpacked beside everything else and not installed.

import { execFile } from 'node:child_process';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { updateLists } from './debian.ts';
import { SetupError, say } from './say.ts';
import { cache, FETCH, inWorkshop, reasonOf } from './workshop.ts';

const run = promisify(execFile);

/** Packages that lead to the newest kernel for virtual machines: Debian's, else Ubuntu's. */
const NEWEST = ['linux-image-cloud-amd64', 'linux-image-generic'] as const;
const PLACE = path.join(cache, 'kernel');

/** A kernel on disk. */
export interface Kernel {
  /** What `uname -r` says of it. */
  readonly release: string;
  readonly image: string;
  /** Holds `lib/modules/<release>`, for `modprobe --dirname`. */
  readonly root: string;
}

/** The kernel that was fetched, if one was: only a whole one ever stands there. */
export async function findKernel(): Promise<Kernel | undefined> {
  const [release] = await readdir(path.join(PLACE, 'lib', 'modules')).catch(() => []);
  return release === undefined ? undefined : { release, image: path.join(PLACE, 'vmlinuz'), root: PLACE };
}

/** Reads `apt-cache depends`: the parts of one kernel among what a package wants. */
export function parseKernelPackages(said: string): readonly string[] {
  const names = Array.from(said.matchAll(/^\s*\|?Depends: (linux-(?:image|modules|modules-extra)-\d\S*)$/gm));
  return [...new Set(names.flatMap(([, name]) => name ?? []))];
}

async function partsOf(name: string): Promise<readonly string[]> {
  const { stdout } = await run('apt-cache', ['depends', name], FETCH).catch(() => ({ stdout: '' }));
  return parseKernelPackages(stdout);
}

/** The packages of the newest kernel: its image, and its modules where they are packages of their own. */
async function newestPackages(): Promise<readonly string[]> {
  for (const name of NEWEST) {
    const direct = await partsOf(name);
    const images = direct.filter((each) => each.startsWith('linux-image-'));
    const indirect = await Promise.all(images.map(partsOf));
    if (images.length > 0) return [...new Set([...direct, ...indirect.flat()])];
  }
  throw new Error(`the package lists have neither ${NEWEST.join(' nor ')}`);
}

async function download(directory: string): Promise<readonly string[]> {
  const packages = await newestPackages();
  await run('apt-get', ['download', ...packages], { ...FETCH, cwd: directory });
  const files = (await readdir(directory)).filter((name) => name.endsWith('.deb'));
  if (files.length < packages.length) throw new Error('apt-get downloaded less than was asked for');
  return files;
}

/** Old lists name files that the mirrors no longer have, and a fresh image has no lists at all. */
async function downloadOnce(directory: string): Promise<readonly string[]> {
  try {
    return await download(directory);
  } catch {
    await updateLists();
    return await download(directory);
  }
}

/** Leaves the image and the modules under the same names, wherever the distribution has them. */
async function arrange(unpacked: string, kernel: string): Promise<void> {
  const modules = path.join(kernel, 'lib', 'modules');
  await mkdir(modules, { recursive: true });
  for (const from of ['lib/modules', 'usr/lib/modules']) {
    for (const release of await readdir(path.join(unpacked, from)).catch(() => []))
      await rename(path.join(unpacked, from, release), path.join(modules, release));
  }
  const [release, ...others] = await readdir(modules);
  if (release === undefined || others.length > 0) throw new Error('the packages do not hold one kernel');
  await rename(path.join(unpacked, 'boot', `vmlinuz-${release}`), path.join(kernel, 'vmlinuz'));
  await run('depmod', ['-b', kernel, release], FETCH);
}

/** @throws {SetupError} that says why there is none */
export async function fetchKernel(): Promise<void> {
  say("Fetching the distribution's kernel, for tests in a virtual machine");
  await inWorkshop(async (directory) => {
    try {
      const [unpacked, kernel] = [path.join(directory, 'unpacked'), path.join(directory, 'kernel')];
      for (const file of await downloadOnce(directory))
        await run('dpkg-deb', ['--extract', path.join(directory, file), unpacked], FETCH);
      await arrange(unpacked, kernel);
      await rm(PLACE, { recursive: true, force: true });
      await rename(kernel, PLACE);
    } catch (cause) {
      throw new SetupError(
        `Cannot fetch a kernel for tests in a virtual machine: ${reasonOf(cause)}\nMend the cause and run the command again`,
        { cause },
      );
    }
  });
}
