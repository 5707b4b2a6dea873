// Watches what lies behind remote gateways: says which node is asked through which gateway when, and whether they forward.
// This module is pure.

import { behindBudget, probeBudget } from './budget.ts';
import type { Budget } from './budget.ts';
import type { ForwardChange, ForwardVerdict } from './change.ts';
import { ON_TIME, deadline, lateness } from './lateness.ts';
import type { Lateness } from './lateness.ts';
import type { Urgency } from './pace.ts';
import { Queues } from './queues.ts';
import type { Waiting } from './queues.ts';
import { forwardReason, newTransit, roundAnswered, roundAsked, roundExpired } from './transit.ts';
import type { Evidence, Transit } from './transit.ts';
import { Wheel } from './wheel.ts';
import type { Turning } from './wheel.ts';

/** A gateway to watch. One that forwards two families is watched twice. */
export interface TransitSpec {
  /** What it is called in events: `west/1`. */
  readonly id: string;
  /** Gateways with one value reach the same nodes, by the same family: `west`. */
  readonly cluster: string;
  /** Nodes behind it that may answer, 1 to this number. */
  readonly responders: number;
}

/** A probe that has to leave now, through any healthy tunnel to the gateway. */
export interface TransitAsk {
  readonly gateway: string;
  readonly responder: number;
  /** The answer repeats it. */
  readonly sequence: number;
}

export interface TransitStep {
  readonly asks: readonly TransitAsk[];
  readonly changes: readonly ForwardChange[];
  readonly wakeAt: number;
}

export interface TransitOptions {
  readonly now: number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Whether a tunnel to this gateway is up, and not in doubt. */
  readonly isReachable: (gateway: string) => boolean;
  /**
   * Share the detector's.
   * @default 2000 packets a second
   */
  readonly budget?: Budget;
}

interface Watched extends Turning, Waiting {
  readonly spec: TransitSpec;
  transit: Transit;
  dueAt: number;
  isGone: boolean;
}

/** Milliseconds from round to round: three that stay out while traffic flows take less than a second and a half. */
const BUSY_MS = 250;
const IDLE_MS = 5000;
/** The same where there are thousands, and what each of more than a thousand adds. */
const LONGEST_IDLE_MS = 10_000;
const IDLE_EACH_MS = 5;
/** Milliseconds over which the first rounds are spread. */
const SPREAD_MS = 5000;
/** How long one that does not forward is asked at the busy pace. */
const RECENT_MS = 180_000;
/** Rounds without an answer after which a cluster is taken for one in which no node answers. */
const PATIENCE = 8;
/** Milliseconds after which those that wait for the budget are looked at again. */
const BACKLOG_MS = 20;

/**
 * Driven like a detector: `watch`, `traffic`, then `step` at each `wakeAt`, and `answered` between. Asks for one node a round, the
 * one that answered last; for all of them once a round stayed out.
 */
export class TransitWatch {
  readonly #options: Required<TransitOptions>;
  readonly #watched = new Map<string, Watched>();
  readonly #clusters = new Map<string, Set<Watched>>();
  readonly #wheel: Wheel<Watched>;
  readonly #queues = new Queues<Watched>();
  readonly #own = behindBudget();
  #busy: ReadonlySet<string> = new Set();
  #late: Lateness = ON_TIME;
  #planned = Infinity;

  constructor({ budget = probeBudget(), ...options }: TransitOptions) {
    this.#options = { ...options, budget };
    this.#wheel = new Wheel(options.now);
  }

  /** Watches exactly these. What is known of those that stay is kept. */
  watch(specs: readonly TransitSpec[], now: number): void {
    const wanted = new Map(specs.map((spec) => [spec.id, spec]));
    for (const watched of this.#watched.values()) {
      const { id, cluster, responders } = watched.spec;
      const spec = wanted.get(id);
      if (spec?.cluster !== cluster || spec.responders !== responders) this.#end(watched);
    }
    for (const spec of specs) if (!this.#watched.has(spec.id)) this.#begin(spec, now);
  }

  /** Clusters that traffic flows to or from. */
  traffic(clusters: ReadonlySet<string>, now: number): void {
    const fresh = [...clusters].filter((cluster) => !this.#busy.has(cluster));
    this.#busy = new Set(clusters);
    for (const cluster of fresh) this.#hurry(cluster, now);
  }

  step(now: number): TransitStep {
    this.#late = lateness(this.#late, this.#planned, now);
    const changes: ForwardChange[] = [];
    for (const watched of this.#wheel.take(now)) {
      if (watched.isGone) continue;
      changes.push(...this.#look(watched, now));
      this.#arm(watched);
    }
    const asks = this.#serve(now);
    const wakeAt = this.#wheel.next();
    this.#planned = this.#queues.isEmpty ? wakeAt : Math.min(wakeAt, now + BACKLOG_MS);
    return { asks, changes, wakeAt: this.#planned };
  }

  /** After the answer of a node to an ask through this gateway. */
  answered(gateway: string, answer: Omit<TransitAsk, 'gateway'>, now: number): readonly ForwardChange[] {
    const watched = this.#watched.get(gateway);
    if (watched === undefined) return [];
    this.#late = lateness(this.#late, this.#planned, now);
    const transit = roundAnswered(watched.transit, answer, { now, late: this.#late });
    const changes = this.#update(watched, transit, now);
    this.#arm(watched);
    return changes;
  }

  /** `unknown` counts as forwarding. */
  verdict(gateway: string): ForwardVerdict {
    return this.#watched.get(gateway)?.transit.verdict ?? 'unknown';
  }

  get wakeAt(): number {
    return Math.min(this.#planned, this.#wheel.next());
  }

  #begin(spec: TransitSpec, now: number): void {
    const dueAt = now + this.#options.random() * SPREAD_MS;
    const watched: Watched = { spec, transit: newTransit(now), dueAt, isGone: false, tick: -1 };
    const members = this.#clusters.get(spec.cluster) ?? new Set();
    this.#clusters.set(spec.cluster, members.add(watched));
    this.#watched.set(spec.id, watched);
    this.#arm(watched);
  }

  #end(watched: Watched): void {
    const { id, cluster } = watched.spec;
    watched.isGone = true;
    this.#queues.remove(watched);
    this.#watched.delete(id);
    const members = this.#clusters.get(cluster);
    members?.delete(watched);
    if (members?.size === 0) this.#clusters.delete(cluster);
  }

  #evidence({ spec }: Watched, now: number): Evidence {
    const members = [...(this.#clusters.get(spec.cluster) ?? [])];
    const others = members.filter((other) => other.spec.id !== spec.id).map(({ transit }) => transit);
    return { now, late: this.#late, isReachable: this.#options.isReachable(spec.id), others };
  }

  #update(watched: Watched, transit: Transit, now: number): readonly ForwardChange[] {
    const before = watched.transit;
    watched.transit = transit;
    // Its siblings are asked at the same time, each time: what they answer decides, and an answer counts for a while only.
    if (transit.misses > before.misses && transit.misses <= PATIENCE) this.#hurry(watched.spec.cluster, now);
    if (transit.verdict === before.verdict) return [];
    const [from, to] = [before.verdict, transit.verdict];
    const reason = forwardReason(before, transit);
    return [{ what: 'forwards', at: now, path: watched.spec.id, from, to, reason }];
  }

  #look(watched: Watched, now: number): readonly ForwardChange[] {
    const { transit } = watched;
    let changes: readonly ForwardChange[] = [];
    if (transit.round !== undefined) {
      changes = this.#update(watched, roundExpired(transit, this.#evidence(watched, now)), now);
    }
    if (watched.dueAt > now || watched.transit.round !== undefined) return changes;
    if (this.#options.isReachable(watched.spec.id)) this.#queues.push(watched, this.#urgency(watched, now));
    else watched.dueAt = this.#next(watched, now);
    return changes;
  }

  #serve(now: number): readonly TransitAsk[] {
    const asks: TransitAsk[] = [];
    for (;;) {
      const watched = this.#queues.next(this.#own, now) ?? this.#queues.next(this.#options.budget, now);
      if (watched === undefined) return asks;
      asks.push(...this.#ask(watched, now));
      this.#arm(watched);
    }
  }

  #ask(watched: Watched, now: number): readonly TransitAsk[] {
    const { spec } = watched;
    watched.dueAt = this.#next(watched, now);
    const responders = this.#affordable(watched, now);
    watched.transit = roundAsked(watched.transit, now);
    const { sequence } = watched.transit;
    return responders.map((responder) => ({ gateway: spec.id, responder, sequence }));
  }

  /** The first is paid for; of the others as many as the budget has left. */
  #affordable({ spec, transit }: Watched, now: number): readonly number[] {
    const all = Array.from({ length: spec.responders }, (_, index) => index + 1);
    const { misses, responder } = transit;
    const wanted = misses === 0 && responder !== undefined ? [responder] : all;
    return wanted.filter((_, at) => at === 0 || this.#options.budget.take(now));
  }

  #next(watched: Watched, now: number): number {
    return now + this.#pace(watched, now) * (0.9 + 0.1 * this.#options.random());
  }

  /** Rounds that follow each other fast decide something. */
  #urgency(watched: Watched, now: number): Urgency {
    return this.#pace(watched, now) === BUSY_MS ? 1 : 3;
  }

  #pace({ spec, transit }: Watched, now: number): number {
    const { verdict, since, misses } = transit;
    const isDoubted = verdict === 'no' ? now - since < RECENT_MS : misses > 0 && misses <= PATIENCE;
    return isDoubted || this.#busy.has(spec.cluster) ? BUSY_MS : this.#idleMs();
  }

  #idleMs(): number {
    return Math.min(Math.max(IDLE_MS, IDLE_EACH_MS * this.#watched.size), LONGEST_IDLE_MS);
  }

  #hurry(cluster: string, now: number): void {
    for (const member of this.#clusters.get(cluster) ?? []) {
      this.#press(member, Math.max(now, member.transit.askedAt + BUSY_MS));
    }
  }

  #press(watched: Watched, at: number): void {
    watched.dueAt = Math.min(watched.dueAt, at);
    if (watched.waitsAs !== undefined) this.#queues.push(watched, this.#urgency(watched, at));
    this.#arm(watched);
  }

  #arm(watched: Watched): void {
    // One round at a time: the next would take the place of one that may still be answered.
    const { round } = watched.transit;
    const dueAt = watched.waitsAs === undefined ? watched.dueAt : Infinity;
    this.#wheel.put(watched, round === undefined ? dueAt : deadline(this.#late, round));
  }
}
