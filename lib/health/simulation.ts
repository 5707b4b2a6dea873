// Two ends and the network between them in virtual time, for tests.
// This module is pure.

import { Detector } from './detector.ts';
import type { PathAsk, PathChange } from './driving.ts';
import type { PathSpec } from './watched.ts';

/** A packet as the network sees it. */
export interface Packet {
  readonly now: number;
  readonly path: string;
  readonly to: 'here' | 'there';
  /** Of the inner packet; 0 for a small one. */
  readonly size: number;
  /** In [0, 1). */
  readonly chance: number;
}

export interface SimulationOptions {
  readonly paths: readonly PathSpec[];
  /** Milliseconds until it arrives; undefined: it never does. */
  readonly network: (packet: Packet) => number | undefined;
  readonly seed?: number;
  /** Without: the far end answers and asks nothing, which costs half. */
  readonly isMutual?: boolean;
  /** Asks of a path that misses answers knock at the far kernel as well, which is quicker than its daemon. */
  readonly isKnocking?: boolean;
}

/** Milliseconds that a daemon takes to answer where its kernel's answer is waited for too. */
const ANSWER_MS = 1;

/** One end with its process: a detector, and when that process does not run. */
export interface End {
  readonly name: 'here' | 'there';
  readonly detector: Detector;
  readonly changes: PathChange[];
  /** Ask packets that left, by time. */
  readonly asked: number[];
  kicks: number;
  /** It runs again from then on. */
  asleepUntil: number;
  /** Paths whose asks knock, until they are answered. */
  readonly knocking: Set<string>;
  /** Its process does not exist: its kernel refuses what is asked. */
  isStopped: boolean;
  waking: number;
}

/** Not a clock's 0, at which much would work by luck. */
const START = 10_000;

export class Simulation {
  readonly here: End;
  readonly there: End;
  readonly random: () => number;
  now = START;
  readonly #options: SimulationOptions;
  readonly #agenda = new Agenda();
  readonly #refusals = new Map<string, { tokens: number; at: number }>();

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.random = randomOf(options.seed ?? 1);
    this.here = this.#end('here');
    this.there = this.#end('there');
    this.here.detector.watch(options.paths, this.now);
    if (options.isMutual === true) this.there.detector.watch(options.paths, this.now);
    this.#plan(this.here);
    this.#plan(this.there);
  }

  /** Lets time pass. */
  run(ms: number): this {
    const until = this.now + ms;
    for (;;) {
      const next = this.#agenda.take(until);
      if (next === undefined) break;
      this.now = Math.max(this.now, next.at);
      next.act();
    }
    this.now = until;
    return this;
  }

  traffic(...neighbours: readonly string[]): this {
    for (const end of [this.here, this.there]) {
      end.detector.traffic(new Set(neighbours), this.now);
      this.#plan(end);
    }
    return this;
  }

  #end(name: 'here' | 'there'): End {
    const detector = new Detector({ now: this.now, random: this.random });
    const counts = {
      asleepUntil: -Infinity,
      knocking: new Set<string>(),
      kicks: 0,
      isStopped: false,
      waking: Infinity,
    };
    return { name, detector, changes: [], asked: [], ...counts };
  }

  #plan(end: End): void {
    const at = Math.max(end.detector.wakeAt, this.now);
    if (at === Infinity || (end.waking <= at && end.waking >= this.now)) return;
    end.waking = at;
    this.#agenda.put(at, () => this.#wake(end, at));
  }

  #wake(end: End, at: number): void {
    if (end.waking !== at) return;
    if (end.asleepUntil > this.now) {
      end.waking = end.asleepUntil;
      return this.#agenda.put(end.asleepUntil, () => this.#wake(end, end.waking));
    }
    end.waking = Infinity;
    if (end.isStopped) return;
    const { asks, changes, kicks } = end.detector.step(this.now);
    end.changes.push(...changes);
    end.kicks += kicks.length;
    for (const ask of asks) this.#ask(end, ask);
    this.#plan(end);
  }

  #ask(from: End, ask: PathAsk): void {
    const to = from === this.here ? this.there : this.here;
    const { isMutual = false, isKnocking = false } = this.#options;
    from.asked.push(this.now);
    if (isKnocking && (from.detector.path(ask.path)?.misses ?? 0) > 0) from.knocking.add(ask.path);
    if (from.knocking.has(ask.path)) this.#knock(from, to, ask);
    this.#send(to, ask, () => {
      if (to.isStopped) return isKnocking ? undefined : this.#refuse(from, ask);
      const { path, sequence, size } = ask;
      if (isMutual) this.#act(to, to.detector.heard(path, ask.hears, this.now));
      const hears = isMutual ? to.detector.hears(path) : 'unknown';
      const answer = (): void =>
        this.#send(from, { path, size: 0 }, () => {
          from.knocking.delete(path);
          this.#act(from, from.detector.answered(path, { sequence, size, hears }, this.now));
        });
      if (isKnocking) this.#agenda.put(this.now + ANSWER_MS, answer);
      else answer();
    });
  }

  /** No process is needed there. */
  #knock(from: End, to: End, { path }: PathAsk): void {
    this.#carry(to, { path, size: 0 }, () => this.#refuse(from, { path }));
  }

  /** As Linux does: one a second to each, and six when there were none for long. */
  #refuse(from: End, { path }: Pick<PathAsk, 'path'>): void {
    const { tokens, at } = this.#refusals.get(path) ?? { tokens: 6, at: this.now };
    const left = Math.min(6, tokens + (this.now - at) / 1000);
    this.#refusals.set(path, { tokens: left >= 1 ? left - 1 : left, at: this.now });
    if (left < 1) return;
    this.#send(from, { path, size: 0 }, () => this.#act(from, from.detector.refused(path, this.now)));
  }

  #act(end: End, changes: readonly PathChange[]): void {
    end.changes.push(...changes);
    this.#plan(end);
  }

  /** A process that sleeps reads what has come in once it runs, after its timers. */
  #send(to: End, what: { path: string; size: number }, arrive: () => void): void {
    const read = (): void => {
      if (to.asleepUntil > this.now) this.#agenda.put(to.asleepUntil + 0.001, read);
      else arrive();
    };
    this.#carry(to, what, read);
  }

  /** To the far kernel. */
  #carry(to: End, { path, size }: { path: string; size: number }, arrive: () => void): void {
    const packet = { now: this.now, path, to: to.name, size, chance: this.random() };
    const delay = this.#options.network(packet);
    if (delay !== undefined) this.#agenda.put(this.now + delay, arrive);
  }
}

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

/** What happens when: a binary heap, equal times in the order they were put. */
class Agenda {
  readonly #heap: Entry[] = [];
  #order = 0;

  put(at: number, act: () => void): void {
    const heap = this.#heap;
    heap.push({ at, order: (this.#order += 1), act });
    for (let place = heap.length - 1; place > 0;) {
      const parent = (place - 1) >> 1;
      if (!isBefore(heap[place], heap[parent])) return;
      swap(heap, place, parent);
      place = parent;
    }
  }

  take(until: number): Entry | undefined {
    const heap = this.#heap;
    const [first] = heap;
    if (first === undefined || first.at > until) return undefined;
    swap(heap, 0, heap.length - 1);
    heap.pop();
    for (let place = 0; ;) {
      const [left, right] = [2 * place + 1, 2 * place + 2];
      const child = isBefore(heap[right], heap[left]) ? right : left;
      if (!isBefore(heap[child], heap[place])) return first;
      swap(heap, place, child);
      place = child;
    }
  }
}

function isBefore(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === undefined || b === undefined) return a !== undefined && b === undefined;
  return a.at === b.at ? a.order < b.order : a.at < b.at;
}

function swap(heap: Entry[], a: number, b: number): void {
  const [one, other] = [heap[a], heap[b]];
  if (one === undefined || other === undefined) return;
  heap[a] = other;
  heap[b] = one;
}

/** Mulberry32: small, seeded, even enough. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 4_294_967_296;
  };
}
