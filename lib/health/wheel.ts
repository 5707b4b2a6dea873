// When which of thousands of things is looked at next, at constant cost for each.
// This module is pure.

/** What a wheel turns: it keeps the thing's place in the thing. */
export interface Turning {
  /** Tick of its latest entry. Belongs to the wheel; begin with -1. */
  tick: number;
}

/** Milliseconds of a tick: nothing is looked at earlier than wanted, and nothing later than this. */
const TICK_MS = 4;
/** Ticks round: 2 s. What is wanted later comes by once more on its way. */
const TICKS = 512;

/** A timing wheel (Varghese and Lauck, 1987). */
export class Wheel<T extends Turning> {
  readonly #slots: T[][] = Array.from({ length: TICKS }, () => []);
  #tick: number;

  constructor(now: number) {
    this.#tick = Math.floor(now / TICK_MS);
  }

  /** Sees to it that `thing` comes up at `at`, or soon after; where it comes up earlier already, that stands. */
  put(thing: T, at: number): void {
    const wanted = Math.max(Math.ceil(at / TICK_MS), this.#tick + 1);
    const tick = Math.min(wanted, this.#tick + TICKS);
    if (thing.tick > this.#tick && thing.tick <= tick) return;
    thing.tick = tick;
    this.#slot(tick).push(thing);
  }

  /** What comes up until `now`; each has to be put again. */
  take(now: number): T[] {
    const until = Math.floor(now / TICK_MS);
    const taken: T[] = [];
    // After a long sleep one round sees every slot.
    const first = Math.max(this.#tick + 1, until - TICKS + 1);
    for (let tick = first; tick <= until; tick += 1) {
      const slot = this.#slot(tick);
      if (slot.length === 0) continue;
      // An entry whose thing was put earlier since is stale.
      for (const thing of slot)
        if (thing.tick <= until && thing.tick > this.#tick) taken.push(unplaced(thing));
      slot.length = 0;
    }
    this.#tick = Math.max(until, this.#tick);
    return taken;
  }

  /** When something comes up next at the earliest, or Infinity. */
  next(): number {
    for (let tick = this.#tick + 1; tick <= this.#tick + TICKS; tick += 1) {
      if (this.#slot(tick).length > 0) return tick * TICK_MS;
    }
    return Infinity;
  }

  #slot(tick: number): T[] {
    const slot = this.#slots[tick % TICKS];
    if (slot === undefined) throw new RangeError(`Cannot turn the wheel to tick ${tick}: it is before 0`);
    return slot;
  }
}

function unplaced<T extends Turning>(thing: T): T {
  thing.tick = -1;
  return thing;
}
