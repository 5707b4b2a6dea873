// Whether this machine, and this user of it, can have the lab's network namespaces.

import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import process from 'node:process';
import { promisify } from 'node:util';
import { findProgram, hasKernelWireGuard } from './find.ts';

const run = promisify(execFile);

/** Asked before anything is installed. */
export async function findUserObstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  if (process.getuid?.() !== 0) return `network namespaces need root. Run as root: ${await asRoot()}`;
  // In a container that was given no privileges, root may not.
  return (await succeeds('unshare', ['-nm', 'true']))
    ? undefined
    : 'the system allows no network namespaces, even to root. In a container: give it --privileged';
}

/** Why this user on this machine can have no virtual machine, if so. */
export function findVmObstacle(): string | undefined {
  if (process.platform !== 'linux') return 'it shares the root of this machine, which has to be Linux';
  if (process.arch !== 'x64') return `there is a recipe for x64 alone, and this machine is ${process.arch}`;
  return process.getuid?.() === 0 ? undefined : 'sharing the root of this machine with it needs root';
}

/** The same command by sudo, which keeps neither the PATH on which Node may be nor anything else. */
async function asRoot(): Promise<string> {
  const command = `npm run ${process.env['npm_lifecycle_event'] ?? 'demo'}`;
  return (await findProgram('sudo')) === undefined ? command : `sudo env "PATH=$PATH" ${command}`;
}

/** Asked once the programs are there. */
export async function findLabObstacle(): Promise<string | undefined> {
  const hasTunnels = (await exists('/dev/net/tun')) || (await hasKernelWireGuard()) === true;
  if (!hasTunnels) return 'the kernel has neither WireGuard nor /dev/net/tun';
  return (await succeeds('ip', ['nexthop', 'show']))
    ? undefined
    : 'the kernel has no nexthop objects (5.3 or newer)';
}

async function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  return await run(command, args, { timeout: 10_000 }).then(
    () => true,
    () => false,
  );
}

async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}
