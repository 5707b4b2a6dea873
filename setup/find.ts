// What is already on this machine: programs by PATH, their versions, WireGuard in the kernel.

import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { NATS_MINIMUM } from './pins.ts';

const run = promisify(execFile);

/** The first executable of that name on PATH. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const directory of (process.env['PATH'] ?? '').split(path.delimiter)) {
    const file = path.join(directory, name);
    if (directory !== '' && (await isProgram(file))) return file;
  }
  return undefined;
}

async function isProgram(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Where the distributions have it: behind the PATH, because people do not run it by hand. */
const VIRTIOFSD = ['/usr/libexec/virtiofsd', '/usr/lib/qemu/virtiofsd', '/usr/lib/virtiofsd'];

/** The program that shows a directory to a virtual machine. */
export async function findVirtiofsd(): Promise<string | undefined> {
  for (const file of VIRTIOFSD) if (await isProgram(file)) return file;
  return await findProgram('virtiofsd');
}

/** Reads `nats-server: v2.15.1` as [2, 15]. */
export function parseNatsVersion(text: string): readonly [number, number] | undefined {
  const [, major, minor] = /\bv(\d+)\.(\d+)\./.exec(text) ?? [];
  return major === undefined || minor === undefined ? undefined : [Number(major), Number(minor)];
}

/** Whether the nats-server on PATH is one that the product runs with. */
export async function hasNatsServer(): Promise<boolean> {
  const file = await findProgram('nats-server');
  if (file === undefined) return false;
  const { stdout } = await run(file, ['--version'], { timeout: 10_000 }).catch(() => ({ stdout: '' }));
  const [major, minor] = parseNatsVersion(stdout) ?? [0, 0];
  return major > NATS_MINIMUM[0] || (major === NATS_MINIMUM[0] && minor >= NATS_MINIMUM[1]);
}

/** Whether python3 has pip, by which wheels come. */
export async function hasPip(): Promise<boolean> {
  return await run('python3', ['-m', 'pip', '--version'], { timeout: 30_000 }).then(
    () => true,
    () => false,
  );
}

/**
 * Asks the kernel for a WireGuard device in a network namespace of its own, which also loads the module where there is one.
 * Where that is not allowed, as for users of newer Ubuntus, a module on disk is answer enough. `undefined`: nobody knows.
 */
export async function hasKernelWireGuard(): Promise<boolean | undefined> {
  const namespace = process.getuid?.() === 0 ? ['-n'] : ['-rn'];
  try {
    await run('unshare', [...namespace, 'true'], { timeout: 10_000 });
    if ((await findProgram('ip')) === undefined) return undefined;
  } catch {
    return await hasModule('wireguard');
  }
  return await run('unshare', [...namespace, 'ip', 'link', 'add', 'probe', 'type', 'wireguard'], {
    timeout: 10_000,
  }).then(
    () => true,
    () => false,
  );
}

/** `modprobe` finds what is built in as well; loading nothing, it needs no root. Undefined: not found, which proves little in a container. */
async function hasModule(name: string): Promise<true | undefined> {
  return await run('modprobe', ['--dry-run', '--quiet', name], { timeout: 10_000 }).then(
    () => true,
    () => undefined,
  );
}
