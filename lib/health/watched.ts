// What a detector keeps of each path, with what it knows of those beside it.
// This module is pure.

import { firstDeadline } from './asks.ts';
import type { Budget } from './budget.ts';
import type { StateChange, MtuChange } from './change.ts';
import { CROWDED_MS, kickDelayMs } from './kick.ts';
import { deadline } from './lateness.ts';
import type { Lateness } from './lateness.ts';
import { isSizing, newMtu } from './mtu.ts';
import type { Mtu } from './mtu.ts';
import { paceOf, yielding } from './pace.ts';
import type { Pace } from './pace.ts';
import { hearsOf, isDoubted, newPath } from './path.ts';
import type { Path } from './path.ts';
import type { Waiting } from './queues.ts';
import { reasonOf } from './reasons.ts';
import type { Turning } from './wheel.ts';

/** A path to watch. */
export interface PathSpec {
  /** What it is called in events: `west/1#0`. */
  readonly id: string;
  /** Paths to one neighbour stand in for each other: a remote cluster, or the own gateways. */
  readonly neighbour: string;
  /** Whom it leads to, from where: with another value it is another path, of which nothing is known. */
  readonly far: string;
  /** Largest inner packet that its device takes. Absent: its size is not measured. */
  readonly ceiling?: number;
  /** An earlier process had it up: it begins so. */
  readonly isProven?: boolean;
  /** The packet size that an earlier process had found. */
  readonly size?: number;
  /** It is a tunnel that can be made anew while it is silent. */
  readonly isTunnel?: boolean;
  /** It gives way: where more is due than may be asked, all that is urgent elsewhere is asked first. */
  readonly yields?: boolean;
}

/** Paths to one neighbour. */
export interface Group {
  readonly members: Set<Watched>;
  hasTraffic: boolean;
  /** All paths under watch, whomever they lead to. */
  readonly all: { readonly size: number };
  /** Of its members. */
  up: number;
  doubted: number;
}

/** One path under watch. */
export interface Watched extends Turning, Waiting {
  spec: PathSpec;
  readonly group: Group;
  path: Path;
  mtu: Mtu | undefined;
  /** When it is asked next. */
  dueAt: number;
  /** When it is made anew, should it be silent then. */
  kickAt: number;
  isGone: boolean;
  /** Oldest first, at most {@link HISTORY}. */
  readonly history: (StateChange | MtuChange)[];
}

/** Changes that are kept of each path. */
export const HISTORY = 10;

export function newGroup(all: Group['all']): Group {
  return { all, members: new Set(), hasTraffic: false, up: 0, doubted: 0 };
}

export function newWatched(
  spec: PathSpec,
  group: Group,
  at: { now: number; dueAt: number; kickAt: number },
): Watched {
  const path = newPath(at.now, spec.isProven === true);
  const mtu = spec.ceiling === undefined ? undefined : newMtu(spec.ceiling, spec.size);
  const { dueAt, kickAt } = at;
  return { spec, group, path, mtu, dueAt, kickAt, isGone: false, history: [], tick: -1 };
}

/** Counts what a path adds to its group (1) or takes from it (-1). */
export function count(group: Group, path: Path, sign: 1 | -1): void {
  if (path.state === 'up') group.up += sign;
  if (isDoubted(path)) group.doubted += sign;
}

/** Keeps, and returns, what has become of the path that was `before`. */
export function noteState(watched: Watched, before: Path, at: number): StateChange {
  const { spec, path } = watched;
  const reason = reasonOf(before, path, [...siblings(watched)]);
  return noted(watched, { what: 'state', at, path: spec.id, from: before.state, to: path.state, reason });
}

export function noteSize(watched: Watched, from: number, to: number, at: number): MtuChange {
  const reason = to < from ? 'black hole' : 'found';
  return noted(watched, { what: 'mtu', at, path: watched.spec.id, from, to, reason });
}

function noted<C extends StateChange | MtuChange>({ history }: Watched, change: C): C {
  if (history.length === HISTORY) history.shift();
  history.push(change);
  return change;
}

/** The paths beside it. */
export function* siblings({ spec, group }: Watched): Generator<Path> {
  for (const { spec: other, path } of group.members) if (other.id !== spec.id) yield path;
}

export function watchedPace({ spec, path, group, mtu }: Watched, now: number): Pace {
  const isSized = mtu !== undefined && isSizing(mtu);
  const { all, hasTraffic, doubted } = group;
  const around = { now, paths: all.size, hasTraffic, isDoubtful: doubted > 0, isSizing: isSized };
  const pace = paceOf(path, around);
  return spec.yields === true ? yielding(pace) : pace;
}

/** Whether its tunnel is made anew now. If so, the time for the next one is set; where too many were, it is looked at again soon. */
export function isKicked(watched: Watched, now: number, random: number, budget: Budget): boolean {
  const { path, kickAt } = watched;
  if (kickAt > now || !isSilent(watched)) return false;
  const hasRoom = budget.take(now);
  const delayMs = hasRoom ? kickDelayMs(now - path.since, random, path.rtt?.smoothMs) : CROWDED_MS;
  watched.kickAt = now + delayMs;
  return hasRoom;
}

/** Nothing of it answers, and nothing refuses. */
function isSilent({ spec, path }: Watched): boolean {
  return spec.isTunnel === true && path.state !== 'up' && hearsOf(path) === 'no';
}

/** When it has to be looked at next. */
export function nextLook(watched: Watched, late: Lateness): number {
  const { path, mtu, dueAt, kickAt, waitsAs } = watched;
  const due = waitsAs === undefined ? dueAt : Infinity;
  const sizeAt = mtu?.probe === undefined ? Infinity : deadline(late, mtu.probe);
  return Math.min(due, firstDeadline(path.asks, late), sizeAt, isSilent(watched) ? kickAt : Infinity);
}

/** Sizes are measured where small asks are answered by the daemon. */
export function isMeasured({ state, misses, refusals }: Path): boolean {
  return (state === 'up' || state === 'held') && misses === 0 && refusals === undefined;
}

/** Whether it is worth asking it and its siblings sooner than was planned: it came into doubt, or its daemon answers again. */
export function isPressing(before: Path, path: Path): boolean {
  const isBack = before.refusals !== undefined && path.refusals === undefined;
  return isBack || (isDoubted(path) && !isDoubted(before));
}

/** Whether what is known of the one is known of the other. */
export function isSame(a: PathSpec, b: PathSpec | undefined): boolean {
  return b !== undefined && a.far === b.far && a.neighbour === b.neighbour && a.ceiling === b.ceiling;
}
