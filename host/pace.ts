// Spaces what may be asked for without end.
// This module is pure.

/** Milliseconds between two turns once the first few are used up; as long gives one back. */
const INTERVAL_MS = 1000;
/** Turns that may follow each other at once. */
const BURST = 5;

/** A few turns at once, then one a second: a node on which pods come and go all day changes its links that often. */
export class Pace {
  /** When the turn that was given last takes place. */
  #turn = Number.NEGATIVE_INFINITY;
  /** When all turns are given back. */
  #full = Number.NEGATIVE_INFINITY;

  /** Milliseconds until the next turn, at least `waitMs` unless one is coming anyway. Times are of one monotonic clock. */
  wait(now: number, waitMs: number): number {
    if (now < this.#turn) return this.#turn - now;
    const full = Math.max(this.#full, now);
    this.#turn = Math.max(now + waitMs, full - (BURST - 1) * INTERVAL_MS);
    this.#full = full + INTERVAL_MS;
    return this.#turn - now;
  }
}
