// Debian and Ubuntu packages: installed as root or by sudo, never with the packages that they merely recommend.

import { execFile, spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findProgram } from './find.ts';
import { SetupError, say } from './say.ts';

const run = promisify(execFile);

const UPDATE = ['apt-get', 'update', '--quiet'];
/** Milliseconds, as long as apt-get itself waits for dpkg. */
const LOCK_MS = 120_000;
/** wireguard-tools, for one, recommends a whole kernel image. */
const INSTALL = ['install', '--yes', '--no-install-recommends', '--option=DPkg::Lock::Timeout=120'];

/** How to become root for a command; `undefined`: cannot. */
async function elevation(): Promise<readonly string[] | undefined> {
  if (process.getuid?.() === 0) return [];
  if ((await findProgram('sudo')) === undefined) return undefined;
  if (process.stdin.isTTY) return ['sudo'];
  const isAllowed = await run('sudo', ['-n', 'true']).then(
    () => true,
    () => false,
  );
  return isAllowed ? ['sudo', '-n'] : undefined;
}

/** The command that a person can type instead. */
export function aptCommand(packages: readonly string[]): string {
  return `apt-get install --no-install-recommends ${packages.join(' ')}`;
}

/** Runs a command of the package system; what it complains of is the error. */
async function system(prefix: readonly string[], argv: readonly string[]): Promise<void> {
  const [command = 'env', ...rest] = [
    ...prefix,
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'LC_ALL=C',
    ...argv,
  ];
  const child = spawn(command, rest, { stdio: ['inherit', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said = `${said}${chunk.toString()}`.slice(-8192)));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0) throw new Error(complaintsIn(said));
}

/** apt-get marks errors; dpkg does not. */
function complaintsIn(said: string): string {
  const lines = said.split('\n').filter((line) => line.trim() !== '');
  const errors = lines.filter((line) => line.startsWith('E: '));
  return (errors.length > 0 ? errors : lines).slice(-4).join('\n');
}

async function hasLists(): Promise<boolean> {
  const files = await readdir('/var/lib/apt/lists').catch(() => []);
  return files.some((file) => file.includes('_Packages'));
}

/** apt-get does not wait for the lock of its lists, which a machine's own update holds for a while after a boot. */
async function update(prefix: readonly string[]): Promise<void> {
  for (const until = performance.now() + LOCK_MS; ; await sleep(1000)) {
    try {
      return await system(prefix, UPDATE);
    } catch (error) {
      const isBusy = error instanceof Error && error.message.includes('Could not get lock');
      if (!isBusy || performance.now() > until) throw error;
    }
  }
}

/** Old lists name files that the mirrors no longer have, and an interrupted dpkg does nothing more: both are mended, once. */
async function installOnce(prefix: readonly string[], packages: readonly string[]): Promise<void> {
  const install = ['apt-get', ...INSTALL, ...packages];
  try {
    if (!(await hasLists())) await update(prefix);
    await system(prefix, install);
  } catch (error) {
    const isInterrupted = error instanceof Error && error.message.includes('dpkg --configure -a');
    if (isInterrupted) await system(prefix, ['dpkg', '--configure', '-a']);
    await update(prefix);
    await system(prefix, install);
  }
}

/** Reads the package lists anew. */
export async function updateLists(): Promise<void> {
  const prefix = await elevation();
  if (prefix === undefined) throw new Error('the package lists are old, and reading them anew needs root');
  await update(prefix);
}

/** @throws {SetupError} that says what to type instead */
export async function installPackages(packages: readonly string[]): Promise<void> {
  if ((await findProgram('apt-get')) === undefined) {
    throw new SetupError(
      `Cannot install ${packages.join(', ')}: this machine has no apt-get. Install what your distribution has under these names and run the command again`,
    );
  }
  const prefix = await elevation();
  if (prefix === undefined) {
    throw new SetupError(
      `Cannot install ${packages.join(', ')}: this needs root. Run as root: apt-get update && ${aptCommand(packages)}`,
    );
  }
  say(`Installing ${packages.join(', ')}`);
  try {
    await installOnce(prefix, packages);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SetupError(
      `Cannot install ${packages.join(', ')}: apt-get failed:\n${reason}\nRun as root: apt-get update && ${aptCommand(packages)}`,
      { cause },
    );
  }
}
