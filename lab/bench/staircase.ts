// Finds the level at which something begins to fail, out of trials that each may also fail by bad luck.
// This module is pure.

import { median } from './benchmark.ts';

export interface StaircaseOptions {
  /** Level of the first trial: one that is likely to succeed. */
  readonly start: number;
  /** Factor between the first trials. @default 2 */
  readonly stride?: number;
  /** The least factor between trials. @default 1.1 */
  readonly step?: number;
}

/**
 * Up a step after a success, down one after a failure: it climbs to the level at which both are as likely, and swings
 * about it (W. J. Dixon and A. M. Mood, 1948). Steps begin wide, and become narrower with every turn until they are the
 * least (H. Kesten, 1958). A trial that is spoilt by something else costs one step, where a bisection would never come
 * back from it.
 */
export class Staircase {
  readonly #step: number;
  /** Levels that were tried since steps are the least. */
  readonly #tried: number[] = [];
  #factor: number;
  #level: number;
  #before: boolean | undefined;

  constructor({ start, stride = 2, step = 1.1 }: StaircaseOptions) {
    this.#level = start;
    this.#factor = stride;
    this.#step = step;
  }

  /** What to try next. */
  get level(): number {
    return this.#level;
  }

  /** How the trial at {@link Staircase.level} ended. */
  tell(succeeded: boolean): void {
    if (this.#factor === this.#step) this.#tried.push(this.#level);
    const hasTurned = this.#before !== undefined && this.#before !== succeeded;
    if (hasTurned) this.#factor = Math.max(this.#step, Math.sqrt(this.#factor));
    this.#before = succeeded;
    this.#level *= succeeded ? this.#factor : 1 / this.#factor;
  }

  /** The median of the levels that it swung between. @throws {RangeError} when it has not come so far */
  get threshold(): number {
    return median(this.#tried);
  }
}
