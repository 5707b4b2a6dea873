// Reads what the processes of a lab hold of the machine.

import fs from 'node:fs/promises';
import type { Lab } from '../lab.ts';
import { holdingsOf, type Holdings, type Usage } from './usage.ts';

/** Seconds: whatever is younger may be a command that a daemon has given. */
const LASTING_S = 5;
/** Clock ticks a second in /proc, on every platform that Node runs on. */
const TICKS = 100;

/** Of every process that lasts, on every node and at the broker. */
export async function readHoldings(lab: Lab): Promise<Holdings> {
  const roles = new Map((await lab.processes()).map(({ pid, role }) => [pid, role]));
  const uptime = Number.parseFloat(await fs.readFile('/proc/uptime', 'utf8'));
  const places = lab.layout.places.filter(({ kind }) => ['gateway', 'worker', 'broker'].includes(kind));
  const all = places.map(async ({ name }) => {
    const programs = [...(await lab.programs(name))];
    return await Promise.all(
      programs.map(async ([pid, program]) => {
        const usage = await read(pid, uptime).catch(() => undefined);
        if (usage === undefined) return [];
        return [{ ...usage, what: `${name} ${roles.get(pid) ?? (await titleOf(pid, program))}` }];
      }),
    );
  });
  return holdingsOf((await Promise.all(all)).flat(2));
}

/** Nothing of one that has ended meanwhile, or has just begun. */
async function read(pid: number, uptime: number): Promise<Omit<Usage, 'what'> | undefined> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8');
  // The 22nd field is when it began, the third comes after its name.
  const began = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) / TICKS;
  if (uptime - began < LASTING_S) return undefined;
  const [, rssKiB] = /^VmRSS:\s+(\d+) kB$/m.exec(await fs.readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  if (rssKiB === undefined) return undefined;
  return { rssKiB: Number(rssKiB), files: (await fs.readdir(`/proc/${pid}/fd`)).length };
}

/** A userspace WireGuard is told from another one by its device. */
async function titleOf(pid: number, program: string): Promise<string> {
  if (program !== 'wireguard-go') return program;
  const line = await fs.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const device = line.split('\0').findLast((word) => word !== '');
  return `${program} ${device}`;
}
