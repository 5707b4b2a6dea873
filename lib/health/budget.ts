// How many packets may leave in a time.
// This module is pure.

/** A bucket of tokens: so many a second, and no more than `burst` saved up. */
export class Budget {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #at = -Infinity;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Whether a packet may leave now. */
  has(now: number): boolean {
    const earned = ((now - this.#at) * this.#perSecond) / 1000;
    if (earned > 0) {
      this.#tokens = Math.min(this.#burst, this.#tokens + earned);
      this.#at = now;
    }
    return this.#tokens >= 1;
  }

  /** Takes one token where there is one. */
  take(now: number): boolean {
    if (!this.has(now)) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** Packets a second that one process sends. */
const MOST_A_SECOND = 2000;
/** Of them, those that only ask behind gateways: two of each of a thousand clusters all ten seconds, whatever else is due. */
const BEHIND_A_SECOND = 200;
/** The share that may go at once. The rest is the rate, so that no second ever sees more than the whole. */
const AT_ONCE = 0.05;

/** The budget that all watches of one process share. */
export function probeBudget(): Budget {
  return upTo(MOST_A_SECOND - BEHIND_A_SECOND);
}

/** What is urgent leaves a tenth to what is idle: an idle path that is never asked could not be seen to die. */
export function urgentBudget(): Budget {
  return upTo(0.9 * (MOST_A_SECOND - BEHIND_A_SECOND));
}

/** What a transit watch has beside it: paths that are idle would else leave it nothing. */
export function behindBudget(): Budget {
  return upTo(BEHIND_A_SECOND);
}

function upTo(perSecond: number): Budget {
  return new Budget((1 - AT_ONCE) * perSecond, AT_ONCE * perSecond);
}
