// What waits for its turn to be asked: the most urgent first, among equals the one that waits longest.
// This module is pure.

import { urgentBudget } from './budget.ts';
import type { Budget } from './budget.ts';
import type { Urgency } from './pace.ts';

/** What may wait. The place is the queues' own; begin without. */
export interface Waiting {
  waitsAs?: Urgency | undefined;
}

interface Queue<T> {
  things: T[];
  head: number;
}

/** Taken things at a queue's head that are let go together. */
const SHED = 1024;

export class Queues<T extends Waiting> {
  readonly #queues: Readonly<Record<Urgency, Queue<T>>> = {
    0: { things: [], head: 0 },
    1: { things: [], head: 0 },
    2: { things: [], head: 0 },
    3: { things: [], head: 0 },
  };
  readonly #urgent = urgentBudget();
  #size = 0;

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Lets it wait, or go on waiting with another urgency, behind those that have it already. */
  push(thing: T, urgency: Urgency): void {
    if (thing.waitsAs === urgency) return;
    if (thing.waitsAs === undefined) this.#size += 1;
    thing.waitsAs = urgency;
    this.#queues[urgency].things.push(thing);
  }

  /** It waits no longer. */
  remove(thing: T): void {
    if (thing.waitsAs === undefined) return;
    thing.waitsAs = undefined;
    this.#size -= 1;
  }

  /** Whose turn it is, of what is left of `budget`. */
  next(budget: Budget, now: number): T | undefined {
    if (this.#size === 0 || !budget.has(now)) return undefined;
    const urgent = this.#urgent.has(now) ? (this.#take(0) ?? this.#take(1) ?? this.#take(2)) : undefined;
    if (urgent !== undefined) this.#urgent.take(now);
    const thing = urgent ?? this.#take(3);
    if (thing !== undefined) budget.take(now);
    return thing;
  }

  #take(urgency: Urgency): T | undefined {
    const queue = this.#queues[urgency];
    for (;;) {
      const thing = queue.things[queue.head];
      if (thing === undefined) break;
      queue.head += 1;
      // It may have been removed, or wait with another urgency by now.
      if (thing.waitsAs !== urgency) continue;
      this.remove(thing);
      if (queue.head > SHED) shed(queue);
      return thing;
    }
    shed(queue);
    return undefined;
  }
}

function shed<T>(queue: Queue<T>): void {
  if (queue.head === 0) return;
  queue.things = queue.things.slice(queue.head);
  queue.head = 0;
}
