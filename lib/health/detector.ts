// Watches thousands of paths: says who is asked when, and what their answers mean.
// This module is pure.

import { probeBudget } from './budget.ts';
import type { Budget } from './budget.ts';
import type { DetectorOptions, PathAnswer, PathAsk, PathChange, Step } from './driving.ts';
import { kickBudget, kickDelayMs } from './kick.ts';
import { ON_TIME, lateness } from './lateness.ts';
import type { Lateness } from './lateness.ts';
import { betterSibling } from './loss.ts';
import { confirmed, isFound, isSizing, probed, rechecked, unconfirmed } from './mtu.ts';
import type { Mtu } from './mtu.ts';
import { sizeCheckMs, spread } from './pace.ts';
import { answered, asked, ejected, expired, heard, hearsOf, isStopped, leftAlone, refused } from './path.ts';
import type { Hears, Moment, Path } from './path.ts';
import { Queues } from './queues.ts';
import { reportOf } from './report.ts';
import type { PathReport } from './report.ts';
import { Roll } from './roll.ts';
import {
  count,
  isKicked,
  isMeasured,
  isPressing,
  isSame,
  nextLook,
  noteSize,
  noteState,
  siblings,
  watchedPace,
} from './watched.ts';
import type { Group, PathSpec, Watched } from './watched.ts';
import { Wheel } from './wheel.ts';

/** Milliseconds after which those that wait for the budget are looked at again. */
const BACKLOG_MS = 10;
/** Least milliseconds between two asks, where something makes the next one pressing. */
const PRESSING_MS = 50;
/** Milliseconds over which the first asks of many new paths are spread, each. */
const SPREAD_MS = 0.5;

/**
 * The driving loop, for a gateway's tunnels, a worker's links and a gateway's links alike:
 *
 * 1. `watch(specs, now)` whenever the set of paths changes; `traffic(neighbours, now)` as often as counters are read.
 * 2. `step(now)` whenever `wakeAt` is reached: send its asks, act on its changes, kick its kicks, set a timer for `wakeAt`.
 * 3. Between steps, hand in what arrives: `answered`, `refused`, `heard`. Each returns changes: act on them first (one batch
 *    to the kernel), tell of them afterwards. Then set the timer anew where `wakeAt` has come nearer.
 *
 * A step costs a constant for each path that is due in it. Nothing is asked that does not leave in the same step, so what
 * cannot be sent is a loss like any other.
 */
export class Detector {
  readonly #random: () => number;
  readonly #budget: Budget;
  readonly #kickBudget = kickBudget();
  readonly #roll = new Roll();
  readonly #wheel: Wheel<Watched>;
  readonly #queues = new Queues<Watched>();
  #late: Lateness = ON_TIME;
  #planned = Infinity;
  #changes: PathChange[] = [];

  constructor({ now, random, budget = probeBudget() }: DetectorOptions) {
    this.#random = random;
    this.#budget = budget;
    this.#wheel = new Wheel(now);
  }

  /** Watches exactly these. What is known of those that stay is kept. */
  watch(specs: readonly PathSpec[], now: number): readonly PathChange[] {
    const wanted = new Map(specs.map((spec) => [spec.id, spec]));
    for (const watched of this.#roll.values()) {
      if (!isSame(watched.spec, wanted.get(watched.spec.id))) this.#end(watched, now);
    }
    const fresh = specs.filter(({ id }) => this.#roll.get(id) === undefined);
    for (const spec of fresh) this.#begin(spec, now, fresh.length);
    return this.#drain();
  }

  /** Neighbours that traffic flows to or from. */
  traffic(neighbours: ReadonlySet<string>, now: number): void {
    for (const group of this.#roll.traffic(neighbours)) this.#hurryAll(group, now);
  }

  step(now: number): Step {
    this.#notice(now);
    const kicks: string[] = [];
    for (const watched of this.#wheel.take(now)) {
      if (watched.isGone) continue;
      this.#look(watched, now);
      if (isKicked(watched, now, this.#random(), this.#kickBudget)) kicks.push(watched.spec.id);
      this.#arm(watched);
    }
    const asks = this.#serve(now);
    this.#planned = this.#queues.isEmpty
      ? this.#wheel.next()
      : Math.min(this.#wheel.next(), now + BACKLOG_MS);
    return { asks, changes: this.#drain(), kicks, wakeAt: this.#planned };
  }

  /** After an answer of the far daemon; the caller has made sure that it is one to an ask of this path. */
  answered(id: string, answer: PathAnswer, now: number): readonly PathChange[] {
    return this.#with(id, now, (watched) => {
      if (answer.size === 0)
        this.#update(watched, answered(watched.path, answer, this.#moment(watched, now)), now);
      else if (watched.mtu !== undefined) this.#resize(watched, confirmed(watched.mtu, answer, now), now);
    });
  }

  /** After the far kernel's word, through the path, that nobody listens. */
  refused(id: string, now: number): readonly PathChange[] {
    return this.#with(id, now, (watched) => {
      this.#update(watched, refused(watched.path, this.#moment(watched, now)), now);
      if (!isStopped(watched.path)) return;
      // It says so once a second: asked sooner, it would seem silent.
      const next = watched.path.askedAt + spread(watchedPace(watched, now), this.#random());
      watched.dueAt = Math.max(watched.dueAt, next);
    });
  }

  /** After an ask of the far end, which says whether its own asks are answered. */
  heard(id: string, hears: Hears, now: number): readonly PathChange[] {
    return this.#with(id, now, (watched) => {
      this.#update(watched, heard(watched.path, hears, this.#moment(watched, now)), now);
      // One direction works (again): the other is worth a question.
      const { state, askedAt, refusals } = watched.path;
      const isNews = (state === 'down' || state === 'unknown') && refusals === undefined;
      if (isNews && now - askedAt >= PRESSING_MS) this.#press(watched, now);
    });
  }

  /** What the answer to an ask of this path has to say. */
  hears(id: string): Hears {
    const path = this.#roll.get(id)?.path;
    return path === undefined ? 'unknown' : hearsOf(path);
  }

  /** When the next step is due at the latest, on what is known now. */
  get wakeAt(): number {
    return Math.min(this.#planned, this.#wheel.next());
  }

  isUp(id: string): boolean {
    return this.#roll.get(id)?.path.state === 'up';
  }

  /** Up and not in doubt: what a transit watch needs to know of one of a gateway's tunnels. */
  isSound(id: string): boolean {
    return this.isUp(id) && this.path(id)?.misses === 0;
  }

  /** As it stands, which costs less than a report. */
  path(id: string): Path | undefined {
    return this.#roll.get(id)?.path;
  }

  report(id: string): PathReport | undefined {
    const watched = this.#roll.get(id);
    return watched && reportOf(watched);
  }

  *reports(): Generator<PathReport> {
    for (const watched of this.#roll.values()) yield reportOf(watched);
  }

  #begin(spec: PathSpec, now: number, fresh: number): void {
    // The answers to a thousand questions of one instant would overrun a socket's buffer.
    const dueAt = now + this.#random() * Math.min(fresh * SPREAD_MS, 1000);
    this.#arm(this.#roll.add(spec, { now, dueAt, kickAt: now + kickDelayMs(0, this.#random()) }));
  }

  #end(watched: Watched, now: number): void {
    this.#queues.remove(watched);
    this.#roll.remove(watched);
    if (watched.group.up === 0) this.#leaveAlone(watched.group, now);
  }

  #with(id: string, now: number, act: (watched: Watched) => void): readonly PathChange[] {
    this.#notice(now);
    const watched = this.#roll.get(id);
    if (watched === undefined) return [];
    act(watched);
    this.#arm(watched);
    return this.#drain();
  }

  #notice(now: number): void {
    this.#late = lateness(this.#late, this.#planned, now);
    // What comes in before the next step is not late a second time.
    if (this.#late.until === now) this.#planned = Math.max(this.#planned, now);
  }

  #moment({ group, path }: Watched, now: number): Moment {
    const others = group.up - Number(path.state === 'up');
    return { now, late: this.#late, isAlone: others === 0 };
  }

  #look(watched: Watched, now: number): void {
    const moment = this.#moment(watched, now);
    this.#update(watched, expired(watched.path, moment), now);
    this.#resize(watched, watched.mtu && unconfirmed(watched.mtu, watched.path.answered, moment), now);
    if (watched.dueAt <= now) this.#queues.push(watched, watchedPace(watched, now).urgency);
  }

  #arm(watched: Watched): void {
    this.#wheel.put(watched, nextLook(watched, this.#late));
  }

  #serve(now: number): readonly PathAsk[] {
    const asks: PathAsk[] = [];
    for (;;) {
      const watched = this.#queues.next(this.#budget, now);
      if (watched === undefined) return asks;
      this.#ask(watched, now, asks);
      this.#arm(watched);
    }
  }

  #ask(watched: Watched, now: number, asks: PathAsk[]): void {
    watched.path = asked(watched.path, now);
    watched.dueAt = now + spread(watchedPace(watched, now), this.#random());
    const { path, mtu, group, spec } = watched;
    const { sequence } = path;
    const hears = hearsOf(path);
    asks.push({ path: spec.id, sequence, size: 0, hears });
    const overdueAt = path.asks.at(-1)?.overdueAt;
    if (mtu === undefined || overdueAt === undefined || !isMeasured(path)) return;
    const checkMs = sizeCheckMs({ hasTraffic: group.hasTraffic, paths: group.all.size });
    const next = probed(mtu, { sequence, at: now, overdueAt, checkMs });
    if (next.probe === undefined || next === mtu || !this.#budget.take(now)) return;
    watched.mtu = next;
    asks.push({ path: spec.id, sequence, size: next.probe.size, hears });
  }

  #update(watched: Watched, path: Path, now: number): void {
    const { path: before, group } = watched;
    if (path === before) return;
    count(group, before, -1);
    count(group, path, 1);
    watched.path = path;
    if (path.state !== before.state) this.#turned(watched, before, now);
    if (isPressing(before, path)) this.#hurryAll(group, now);
    if (path.tally !== before.tally) this.#weigh(watched, now);
  }

  #weigh(watched: Watched, now: number): void {
    if (betterSibling(watched.path, siblings(watched)) === undefined) return;
    this.#update(watched, ejected(watched.path, this.#moment(watched, now)), now);
  }

  #turned(watched: Watched, before: Path, now: number): void {
    const { path, group } = watched;
    this.#changes.push(noteState(watched, before, now));
    if (path.state === 'up' && watched.mtu !== undefined) watched.mtu = rechecked(watched.mtu);
    if (path.state === 'down') {
      watched.kickAt = now + kickDelayMs(0, this.#random());
      // The far end learns of it by the next ask.
      this.#press(watched, now);
    }
    if (group.up === 0) this.#leaveAlone(group, now);
  }

  #leaveAlone(group: Group, now: number): void {
    for (const member of group.members) {
      if (group.up === 0) this.#update(member, leftAlone(member.path, this.#moment(member, now)), now);
    }
  }

  #resize(watched: Watched, mtu: Mtu | undefined, now: number): void {
    const { mtu: before } = watched;
    if (before === undefined || mtu === undefined || mtu === before) return;
    watched.mtu = mtu;
    if (isSizing(mtu)) this.#press(watched, now);
    if (mtu.size !== before.size || isFound(before, mtu))
      this.#changes.push(noteSize(watched, before.size, mtu.size, now));
  }

  #hurryAll({ members }: Group, now: number): void {
    for (const member of members) {
      const { askedAt } = member.path;
      this.#press(member, Math.max(now, askedAt + watchedPace(member, now).ms));
    }
  }

  /** Sees to it that it is asked at `at`; where that is sooner already, it stands. */
  #press(watched: Watched, at: number): void {
    watched.dueAt = Math.min(watched.dueAt, at);
    if (watched.waitsAs !== undefined) this.#queues.push(watched, watchedPace(watched, at).urgency);
    this.#arm(watched);
  }

  #drain(): readonly PathChange[] {
    const changes = this.#changes;
    if (changes.length > 0) this.#changes = [];
    return changes.length > 0 ? changes : NONE;
  }
}

const NONE: readonly PathChange[] = [];
