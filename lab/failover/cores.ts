// What the cores of this machine did with their time.

import { readFile } from 'node:fs/promises';

/** Of all cores together since they started, in ticks of the kernel. */
export interface Cores {
  readonly idle: number;
  /** They had work to do, and whoever runs this machine let others use them: it looks as if everything stood still. */
  readonly stolen: number;
  readonly all: number;
}

export async function readCores(): Promise<Cores> {
  return parseCores(await readFile('/proc/stat', 'utf8'));
}

/** @param text proc_stat(5), whose first line is the sum of all cores */
export function parseCores(text: string): Cores {
  const times = text.split('\n', 1)[0]?.trim().split(/\s+/).slice(1, 9).map(Number) ?? [];
  const [, , , idle = 0, waiting = 0, , , stolen = 0] = times;
  return { idle: idle + waiting, stolen, all: times.reduce((sum, each) => sum + each, 0) };
}

/** Of a hundred parts of the time between, those that somebody here used; what was stolen is left out. */
export function busyBetween(before: Cores, after: Cores): number {
  const own = after.all - after.stolen - (before.all - before.stolen);
  return own === 0 ? 0 : 100 * (1 - (after.idle - before.idle) / own);
}

/** Of a hundred parts of the time between, those that were stolen. */
export function stolenBetween(before: Cores, after: Cores): number {
  const all = after.all - before.all;
  return all === 0 ? 0 : (100 * (after.stolen - before.stolen)) / all;
}
