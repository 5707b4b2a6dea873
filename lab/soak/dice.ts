// Dice that fall the same way for the same seed.
// This module is pure.

/** Chance from whole numbers: the same ones give the same throws, and neighbours have nothing in common. */
export class Dice {
  #state: number;

  constructor(...seeds: readonly number[]) {
    this.#state = seeds.reduce((state, seed) => mixed(state ^ mixed(seed + STRIDE)), 0);
  }

  /** From 0 to 1, without 1. */
  next(): number {
    this.#state = (this.#state + STRIDE) | 0;
    return mixed(this.#state) / 2 ** 32;
  }

  /** A whole number from 0, without that one. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** @throws {RangeError} where there is nothing to choose from */
  pick<T>(list: readonly T[]): T {
    const [chosen] = list.slice(this.below(list.length));
    if (chosen === undefined) throw new RangeError('Cannot choose: there is nothing to choose from');
    return chosen;
  }

  /** All of them, in an order of chance. */
  shuffled<T>(list: readonly T[]): T[] {
    return list
      .map((value) => ({ value, rank: this.next() }))
      .toSorted((a, b) => a.rank - b.rank)
      .map(({ value }) => value);
  }
}

/** The golden ratio's share of 2³²: steps of it come near every number before they come near one again. */
const STRIDE = 0x9e3779b9;

/** The last step of MurmurHash3: each bit of the answer depends on each of the number. */
function mixed(value: number): number {
  let bits = value | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
