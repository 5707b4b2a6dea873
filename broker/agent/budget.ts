// How much one party may ask of the agent: a member that floods it must not keep it from the others.
// This module is pure.

/** Counts what each party asks, a second at a time. Parties are accounts and tokens, which the server vouches for: there are no more than were given out. */
export class Budget {
  readonly #perSecond: number;
  readonly #taken = new Map<string, number>();
  #second = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** True while the party has not asked too much in this second. */
  take(party: string, now: Date): boolean {
    const second = Math.floor(now.getTime() / 1000);
    if (second !== this.#second) this.#taken.clear();
    this.#second = second;
    const taken = (this.#taken.get(party) ?? 0) + 1;
    this.#taken.set(party, taken);
    return taken <= this.#perSecond;
  }
}
