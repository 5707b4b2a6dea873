// What the cores of this machine did with their time.

import { readFileSync } from 'node:fs';

/** Since the cores started, in milliseconds. */
export interface Cores {
  /** All together, without what was stolen. */
  readonly own: number;
  /** All together: they had nothing to do. */
  readonly idle: number;
  /** Of each: it had work to do, and whoever runs this machine let others use it. What runs there stands still meanwhile. */
  readonly stolen: readonly number[];
}

/** The unit of proc_stat(5), USER_HZ, ms. */
const TICK_MS = 10;

export function readCores(): Cores {
  return parseCores(readFileSync('/proc/stat', 'utf8'));
}

/** @param text proc_stat(5) */
export function parseCores(text: string): Cores {
  const cores = text.split('\n').flatMap((line) => {
    const [name = '', ...values] = line.split(/\s+/);
    // Guests' time, which follows, is part of the first two.
    return /^cpu\d/.test(name) ? [values.slice(0, 8).map((value) => Number(value) * TICK_MS)] : [];
  });
  const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);
  return {
    own: sum(cores.map((times) => sum(times.slice(0, 7)))),
    idle: sum(cores.map(([, , , idle = 0, waiting = 0]) => idle + waiting)),
    stolen: cores.map((times) => times[7] ?? 0),
  };
}

/** Of a hundred parts of the time between, those that somebody here used. */
export function busyBetween(before: Cores, after: Cores): number {
  const own = after.own - before.own;
  return own === 0 ? 0 : 100 * (1 - (after.idle - before.idle) / own);
}

/** Milliseconds that the core lost which lost the most. */
export function stolenBetween(before: Cores, after: Cores): number {
  return Math.max(0, ...after.stolen.map((each, core) => each - (before.stolen[core] ?? 0)));
}

const LOOK_MS = 100;

/** Looks on from now until it is disposed. */
export class TheftWatch implements Disposable {
  #last = readCores();
  #most = 0;
  readonly #timer = setInterval(() => this.#look(), LOOK_MS);

  /** The most that was taken from one core between two looks, in milliseconds: a core that is away for longer tells it all at its return. */
  get stolenMs(): number {
    this.#look();
    return this.#most;
  }

  #look(): void {
    const cores = readCores();
    this.#most = Math.max(this.#most, stolenBetween(this.#last, cores));
    this.#last = cores;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
