// Removes a lab, whatever state it was left in: everything is found by name.

import fs from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand } from '#lib/linux';
import { isGone, netnsOf } from './enter.ts';
import { Home, LABS, NETNS, namespacesOf } from './home.ts';

/**
 * Ends every process inside the lab's namespaces, then deletes these, then the lab's files.
 * Nothing is remembered from when it was built, so a lab whose builder was killed goes the same way.
 */
export async function destroy(lab: string): Promise<void> {
  const { root } = new Home(lab);
  const names = await namespacesOf(lab);
  await using held = new AsyncDisposableStack();
  // Open files keep the namespaces' inode numbers from being given to anybody else's while processes are chosen by them.
  const files = await Promise.all(names.map((name) => openIfThere(`${NETNS}/${name}`)));
  const inodes = files.flatMap((file) => (file === undefined ? [] : held.use(file).stat()));
  const ours = new Set((await Promise.all(inodes)).map((stat) => stat.ino));
  await endProcesses(ours);
  await removeNames(lab, names);
  // Whoever was on its way in when the first were ended.
  await endProcesses(ours);
  await fs.rm(root, { recursive: true, force: true });
  await fs.rmdir(LABS).catch(() => {});
}

/** Another `down` of the same lab may be at work. */
async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await fs.open(file);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Here as well: what counts is that the names are gone. */
async function removeNames(lab: string, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  try {
    const input = names.map((name) => `netns del ${name}\n`).join('');
    await runCommand({ argv: ['ip', '-force', '-batch', '-'], input });
  } catch (error) {
    const left = await namespacesOf(lab);
    if (left.length > 0) throw new Error(`Cannot remove ${left.join(', ')}`, { cause: error });
  }
}

async function endProcesses(ours: ReadonlySet<number>): Promise<void> {
  for (const until = Date.now() + 10_000; Date.now() < until; await sleep(5)) {
    const pids = await processesIn(ours);
    if (pids.length === 0) return;
    for (const pid of pids) signal(pid, 'SIGKILL');
  }
  throw new Error(`Cannot remove the lab: processes ${(await processesIn(ours)).join(', ')} do not end`);
}

/** Processes whose network namespace is one of these. */
export async function processesIn(namespaces: ReadonlySet<number>): Promise<number[]> {
  const pids = (await fs.readdir('/proc')).map(Number).filter((pid) => pid > 1 && pid !== process.pid);
  const inside = await Promise.all(pids.map(async (pid) => namespaces.has((await netnsOf(pid)) ?? -1)));
  return pids.filter((_, at) => inside[at]);
}

/** Signals a process, if it still is there. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}
