// Into a namespace of the lab: the words that a command line begins with to run there.

import fs from 'node:fs/promises';
import path from 'node:path';
import { runCommand, type Run } from '#lib/linux';
import { NETNS, netnsName, type Home } from './home.ts';

const CHECKOUT = path.join(import.meta.dirname, '..');

/** The command-line prefix for a place. Nodes have a mount and a host name namespace as well; other places share the host's files. */
export async function entry(home: Home, place: string): Promise<[string, ...string[]]> {
  const netns = `${NETNS}/${netnsName(home.lab, place)}`;
  const holder = await holderPid(home, place, netns);
  const where = holder === undefined ? [`--net=${netns}`] : ['-t', String(holder), '-n', '-m', '-u'];
  return ['nsenter', ...where, '--', home.entryScript];
}

/**
 * Writes the script that every command line goes through: it puts the product's programs on the PATH, as bundles that need no
 * check of their own at each start, and the lab's name into the environment.
 */
export async function writeEntryScript(home: Home): Promise<void> {
  const lines = [
    '#!/bin/sh',
    `export ISTHMUS_LAB=${home.lab} ISTHMUS_DIST=${quoted(path.join(CHECKOUT, '.cache', 'dist'))}`,
    `export PATH=${quoted(path.join(CHECKOUT, 'bin'))}:"$PATH"`,
    'exec "$@"',
  ];
  await fs.writeFile(home.entryScript, `${lines.join('\n')}\n`, { mode: 0o755 });
}

/** One word for a shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A runner whose commands run in that place. */
export function runIn(home: Home, place: string, run: Run = runCommand): Run {
  return async (command) => run({ ...command, argv: [...(await entry(home, place)), ...command.argv] });
}

/** A process id is believed only if it still is in the namespace that it is said to hold. */
async function holderPid(home: Home, place: string, netns: string): Promise<number | undefined> {
  const wanted = (await fs.stat(netns)).ino;
  try {
    const pid = Number(await fs.readFile(home.node(place).holder, 'utf8'));
    if ((await netnsOf(pid)) === wanted) return pid;
  } catch (error) {
    if (!isGone(error)) throw error;
    return undefined;
  }
  throw new Error(
    `Cannot enter "${place}": the process that holds it has ended. Build the lab again: npm run lab -- reset ${home.lab}`,
  );
}

/** Inode of the network namespace of a process; undefined once it is gone. */
export async function netnsOf(pid: number): Promise<number | undefined> {
  try {
    return (await fs.stat(`/proc/${pid}/ns/net`)).ino;
  } catch {
    return undefined;
  }
}

export function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}
