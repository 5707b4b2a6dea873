// Long-running processes of a lab: started in a place under a role, found again by both.

import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesIn, signal } from './destroy.ts';
import { entry, isGone, netnsOf } from './enter.ts';
import { NETNS, netnsName, type Home } from './home.ts';

/** One process that the lab started and that still runs. */
export interface LabProcess {
  readonly pid: number;
  /** `gateway`, `route-agent`, `broker`, `end` …: what it was started as. */
  readonly role: string;
  readonly place: string;
}

export interface StartOptions {
  /** Part of the log's and the pid file's name. */
  readonly role: string;
  readonly argv: readonly [string, ...string[]];
}

/** Starts a process that outlives this one; what it says goes to a file of its own, whose path is in the answer. */
export async function startProcess(
  home: Home,
  place: string,
  options: StartOptions,
): Promise<LabProcess & { readonly log: string }> {
  const log = home.log(options.role, place);
  await using output = await fs.open(log, 'a');
  const [program, ...args] = [...(await entry(home, place)), ...options.argv];
  const child = spawn(program, args, { detached: true, stdio: ['ignore', output.fd, output.fd] });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.on('spawn', resolve).on('error', reject);
  await promise;
  child.unref();
  const pid = child.pid ?? 0;
  await fs.writeFile(home.pid(options.role, place), String(pid));
  await arrived(pid, `${NETNS}/${netnsName(home.lab, place)}`);
  return { pid, role: options.role, place, log };
}

/** Waits until a process is in its place, or has ended: until then nobody would find it there, nor end it. */
async function arrived(pid: number, netns: string): Promise<void> {
  const { ino } = await fs.stat(netns);
  while ((await isRunning(pid)) && (await netnsOf(pid)) !== ino) await sleep(2);
}

/** What was started and still runs in the namespace that it was started in. */
export async function listProcesses(home: Home): Promise<LabProcess[]> {
  const names = await fs.readdir(home.pids).catch((error: unknown) => {
    if (isGone(error)) return [];
    throw error;
  });
  const found = await Promise.all(
    names.toSorted((a, b) => (a < b ? -1 : 1)).map((name) => readProcess(home, name)),
  );
  return found.filter((process) => process !== undefined);
}

async function readProcess(home: Home, name: string): Promise<LabProcess | undefined> {
  const [role = '', dotted = ''] = name.split('@');
  const place = dotted.replace('.', '/');
  const pid = Number(await fs.readFile(path.join(home.pids, name), 'utf8'));
  const netns = await fs.stat(`${NETNS}/${netnsName(home.lab, place)}`);
  return (await isRunning(pid)) && (await netnsOf(pid)) === netns.ino ? { pid, role, place } : undefined;
}

/** Every process in a place's network namespace, whoever started it: pid → the name of its program, as the kernel keeps it. */
export async function programsIn(home: Home, place: string): Promise<Map<number, string>> {
  const { ino } = await fs.stat(`${NETNS}/${netnsName(home.lab, place)}`);
  const pids = await processesIn(new Set([ino]));
  const names = await Promise.all(
    pids.map((pid) => fs.readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')),
  );
  return new Map(pids.map((pid, at) => [pid, names[at]?.trim() ?? '']));
}

/** A process that has ended but that nobody has waited for still has a pid. */
async function isRunning(pid: number): Promise<boolean> {
  try {
    const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/** Sends a signal and, where it ends processes, waits until they are gone. */
export async function signalProcesses(
  processes: readonly LabProcess[],
  name: NodeJS.Signals,
  timeoutMs = 10_000,
): Promise<void> {
  for (const { pid } of processes) signal(pid, name);
  if (!['SIGKILL', 'SIGTERM', 'SIGINT'].includes(name)) return;
  for (const each of processes) {
    const until = Date.now() + timeoutMs;
    while (await isRunning(each.pid)) {
      if (Date.now() > until)
        throw new Error(
          `Cannot end ${each.role} of "${each.place}": it still runs ${timeoutMs} ms after ${name}`,
        );
      await sleep(5);
    }
  }
}
