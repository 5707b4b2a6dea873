// What a detector tells of one path, for tables, metrics and plans.
// This module is pure.

import { reasonText } from './change.ts';
import type { MtuChange, StateChange } from './change.ts';
import { hearsOf } from './path.ts';
import type { Hears } from './path.ts';
import type { PathState } from './state.ts';
import { lostCount, tallied } from './tally.ts';
import type { Watched } from './watched.ts';

/** Times are milliseconds on the caller's monotonic clock. */
export interface PathReport {
  readonly id: string;
  readonly neighbour: string;
  /** Traffic uses it exactly where this is `up`. */
  readonly state: PathState;
  readonly since: number;
  /** Asks lost in a row. */
  readonly misses: number;
  /** Lost of the last `of` asks, at most 32. */
  readonly loss: { readonly lost: number; readonly of: number };
  /** Share of asks lost in the long run, 0 to 1: of one that is down, all. */
  readonly lossRate: number;
  /** Smoothed. Absent: no answer yet. */
  readonly rttMs?: number;
  readonly jitterMs?: number;
  /** Largest inner packet, where it is measured; while `isSizing` it is what is known so far. */
  readonly mtu?: number;
  readonly isSizing: boolean;
  /** Whether own asks are answered, and whether the far end's are, as it says. */
  readonly hears: Hears;
  readonly farHears: Hears;
  /** Since when the far kernel answers in its daemon's place. */
  readonly refusedSince?: number;
  /** Its last ten changes, oldest first. */
  readonly history: readonly (StateChange | MtuChange)[];
}

export function reportOf({ spec, path, mtu, history }: Watched): PathReport {
  const { state, since, misses, farHears, rtt, refusals, tally, lossRate } = path;
  return {
    id: spec.id,
    neighbour: spec.neighbour,
    state,
    since,
    misses,
    loss: { lost: lostCount(tally), of: tallied(tally) },
    lossRate: state === 'down' ? 1 : lossRate,
    ...(rtt === undefined ? {} : { rttMs: rtt.smoothMs, jitterMs: rtt.variationMs }),
    ...(mtu === undefined ? {} : { mtu: mtu.size }),
    isSizing: mtu !== undefined && mtu.phase !== 'complete',
    hears: hearsOf(path),
    farHears,
    ...(refusals === undefined ? {} : { refusedSince: refusals.since }),
    history: [...history],
  };
}

/** A monotonic moment, and what clocks on walls said then. */
export interface Clock {
  readonly monotonic: number;
  readonly wall: Date;
}

/** A report as readers of JSON expect it: times of day, and words for reasons. */
export interface PathText extends Omit<PathReport, 'since' | 'refusedSince' | 'history'> {
  readonly since: Date;
  readonly refusedSince?: Date;
  readonly changes: readonly { readonly at: Date; readonly to: string; readonly text: string }[];
}

export function pathText({ history, since, refusedSince, ...path }: PathReport, clock: Clock): PathText {
  const wall = (at: number): Date => new Date(clock.wall.getTime() - (clock.monotonic - at));
  return {
    ...path,
    since: wall(since),
    ...(refusedSince === undefined ? {} : { refusedSince: wall(refusedSince) }),
    changes: history.map((change) => ({ at: wall(change.at), to: `${change.to}`, text: reasonText(change) })),
  };
}
