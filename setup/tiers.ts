// The tiers of tests, each with what it needs of the machine.

import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import process from 'node:process';
import { promisify } from 'node:util';
import { hasKernelWireGuard } from './find.ts';
import { ensurePrograms } from './programs.ts';
import { SetupError } from './say.ts';

const run = promisify(execFile);

export interface Tier {
  readonly name: string;
  /** Arguments of AVA that select its files. */
  readonly ava: readonly string[];
  /** Few long tests: each is shown as it passes. */
  readonly showPassed: boolean;
  /** After which it counts as failed. Both together stay under 20 minutes. */
  readonly timeoutMinutes: number;
  /** Sets up what it needs; says why it cannot run here, if so. */
  readonly prepare: () => Promise<string | undefined>;
}

async function setUp(group: string): Promise<string | undefined> {
  try {
    await ensurePrograms(group);
    return undefined;
  } catch (error) {
    if (error instanceof SetupError) return error.message;
    throw error;
  }
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

/** Why network namespaces with tunnels cannot be made here. */
async function findLabObstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'it needs Linux';
  if (process.getuid?.() !== 0) return 'it needs root (run it with sudo)';
  const missing = await setUp('test');
  if (missing !== undefined) return missing;
  if (!(await succeeds('unshare', ['-nm', 'true']))) return 'network namespaces are not allowed here';
  const hasTunnels = (await hasKernelWireGuard()) === true || (await exists('/dev/net/tun'));
  if (!hasTunnels) return 'the kernel has neither WireGuard nor /dev/net/tun';
  return (await succeeds('ip', ['nexthop', 'show']))
    ? undefined
    : 'the kernel has no nexthop objects (5.3 or newer)';
}

/** Unit tests run in any case: one that needs a nats-server which cannot be fetched fails and says so. */
async function prepareUnit(): Promise<undefined> {
  const missing = await setUp('unit');
  if (missing !== undefined) process.stdout.write(`${missing}\n`);
  return undefined;
}

export const TIERS: readonly Tier[] = [
  { name: 'unit', ava: [], showPassed: false, timeoutMinutes: 5, prepare: prepareUnit },
  {
    name: 'lab',
    ava: ['--config', 'setup/ava.lab.mjs'],
    showPassed: true,
    timeoutMinutes: 14,
    prepare: findLabObstacle,
  },
];
