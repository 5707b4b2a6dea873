// How long to wait before doing again what has not helped so far: twice as long each time, up to a limit.
// This module is pure.

/** All times are milliseconds of one monotonic clock, which the caller reads. */
export class Patience {
  readonly #first: number;
  readonly #longest: number;
  #pause: number;
  #next = 0;

  constructor(first: number, longest: number) {
    this.#first = first;
    this.#longest = longest;
    this.#pause = first;
  }

  /** True when it is time to try; the next time is later by twice the pause. */
  isDue(now: number): boolean {
    if (now < this.#next) return false;
    this.#next = now + this.#pause;
    this.#pause = Math.min(this.#pause * 2, this.#longest);
    return true;
  }

  /** All is well: the next trouble is met as if it were the first. */
  reset(): void {
    this.#pause = this.#first;
    this.#next = 0;
  }
}
