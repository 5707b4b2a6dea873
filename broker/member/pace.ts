// How much of one member's talk is listened to: one that floods the stream must not take the others' readers' time.
//
// Judging a record costs a signature, and believing it a write and a new plan. What comes too fast is not judged one by
// one: only the newest of each slot is kept, and judged when its turn comes. Slots are few, and an honest server counts them.
//
// This module is pure.

export interface PaceOptions {
  /** Arrivals of one account judged in a second, in the long run. @default 50 */
  readonly perSecond?: number;
  /** Arrivals judged at once after a calm: a reading of the whole stream brings one for each slot. @default 300 */
  readonly burst?: number;
  /** Accounts told apart; beyond it, all new ones are one. A clusterset has a quarter of it. @default 4096 */
  readonly accounts?: number;
  /** Subjects held back of one account; more than it has slots come from a broker that invents them. @default 512 */
  readonly subjects?: number;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
}

interface Account {
  /** Arrivals that may be judged now. */
  left: number;
  at: number;
  /** Subject → newest bytes, oldest subject first. */
  readonly held: Map<string, Uint8Array>;
}

/** One bucket an account. */
export class Pace {
  readonly #options: Required<PaceOptions>;
  readonly #accounts = new Map<string, Account>();

  constructor({ perSecond = 50, burst = 300, accounts = 4096, subjects = 512, now }: PaceOptions) {
    this.#options = { perSecond, burst, accounts, subjects, now };
  }

  /** Something is held back. */
  get isHolding(): boolean {
    return [...this.#accounts.values()].some(({ held }) => held.size > 0);
  }

  /**
   * True: judge it now. Else it is held, and {@link due} gives it, or what has come to its subject since. What there is
   * no room for is dropped: its owner's manifest tells of it.
   */
  take(account: string, subject: string, bytes: Uint8Array): boolean {
    const { accounts, subjects } = this.#options;
    const isKnown = this.#accounts.has(account) || this.#accounts.size < accounts;
    const bucket = this.#bucket(isKnown ? account : '');
    if (bucket.held.size === 0 && bucket.left >= 1) {
      bucket.left -= 1;
      return true;
    }
    if (bucket.held.size < subjects || bucket.held.has(subject)) bucket.held.set(subject, bytes);
    return false;
  }

  /** What may be judged by now. */
  *due(): Iterable<readonly [subject: string, bytes: Uint8Array]> {
    for (const name of this.#accounts.keys()) {
      const bucket = this.#bucket(name);
      for (const [subject, bytes] of bucket.held) {
        if (bucket.left < 1) break;
        bucket.left -= 1;
        bucket.held.delete(subject);
        yield [subject, bytes];
      }
      // A full bucket says no more than none.
      if (bucket.left >= this.#options.burst) this.#accounts.delete(name);
    }
  }

  #bucket(account: string): Account {
    const { perSecond, burst, now } = this.#options;
    const time = now();
    const bucket = this.#accounts.get(account) ?? { left: burst, at: time, held: new Map() };
    bucket.left = Math.min(burst, bucket.left + ((time - bucket.at) * perSecond) / 1000);
    bucket.at = time;
    this.#accounts.set(account, bucket);
    return bucket;
  }
}
