// When a lane gets a new key: once its packets go another way, one lane after another.
// This module is pure.

import type { TunnelId } from '#topology';
import type { StandIn } from './stand-in.ts';

/** What is wanted of a lane's key; `force` renews it at the price of a moment's loss. */
export type Wish = 'keep' | 'renew' | 'force';

/** One lane now. */
export interface LaneSeen {
  readonly lane: number;
  readonly wish: Wish;
  readonly standIn: StandIn;
  /** Its tunnels that answer. */
  readonly up: readonly TunnelId[];
}

/** What a turn is decided by; times are milliseconds on a monotonic clock. */
export interface RotationSeen {
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;
  /** The kernel would take a new key, and others would hear of it. */
  readonly isTold: boolean;
  readonly lanes: readonly LaneSeen[];
  /** How often traffic has been looked at, and the lanes that carried some at the last look. */
  readonly looks: number;
  readonly busy: ReadonlySet<number>;
}

/**
 *     idle ──wished, others stand in──▶ resting ──nothing passes──▶ proving ──answers by the new key──▶ idle
 *      ▲                                  │
 *      └──── nobody stands in any more ───┘
 *
 * The key is replaced where `proving` begins. Nothing of this outlives a daemon: a file that has a new key has a new time,
 * and one that has not is still wished for.
 */
export type Rotation =
  | { readonly phase: 'idle'; readonly until: number }
  | {
      readonly phase: 'resting';
      readonly lane: number;
      readonly from: number;
      /** The whole gateway rests. */
      readonly whole: boolean;
      readonly looks: number;
      /** Looks in a row that saw no traffic. */
      readonly quiet: number;
    }
  | {
      readonly phase: 'proving';
      readonly lane: number;
      readonly from: number;
      readonly whole: boolean;
      /** Tunnels that answered before. */
      readonly tunnels: readonly TunnelId[];
      /** Since when all of them answer again. */
      readonly provenAt?: number;
    };

type Resting = Rotation & { phase: 'resting' };
type Proving = Rotation & { phase: 'proving' };

/** Looks without traffic after which a lane is taken for empty: the first one may have begun before the rest. */
const QUIET_LOOKS = 2;
/** Milliseconds after which a lane gets its key all the same: somebody sends by it who will not stop. */
const REST_MS = 10_000;
/** Milliseconds that the proof has to last: both ends may begin a session at once, and the far one has its own to see. */
const STEADY_MS = 1000;
/** Milliseconds until a tunnel that does not answer by the new key holds nothing up any more. */
const PROOF_MS = 30_000;
/** Milliseconds between two lanes: others see first that the former one is back. */
const PAUSE_MS = 1000;
/** Milliseconds, at most, until the next attempt where both ends had begun at once. */
const BACK_OFF_MS = 10_000;

/** A daemon that starts has tunnels to find first. */
export function firstRotation(now: number): Rotation {
  return { phase: 'idle', until: now + PAUSE_MS };
}

/** The same object where nothing happens. */
export function turn(rotation: Rotation, seen: RotationSeen): Rotation {
  if (rotation.phase === 'idle') return begin(rotation, seen);
  return rotation.phase === 'resting' ? goOn(rotation, seen) : prove(rotation, seen);
}

/** Nobody knows of it; it is tried again. */
function backOff({ now, random }: Pick<RotationSeen, 'now' | 'random'>): Rotation {
  return { phase: 'idle', until: now + PAUSE_MS + random * BACK_OFF_MS };
}

/** Lanes that nobody stands in for wait behind the others. */
function begin(rotation: Rotation & { phase: 'idle' }, seen: RotationSeen): Rotation {
  if (seen.now < rotation.until || !seen.isTold) return rotation;
  const next = seen.lanes.find(mayRest);
  if (next === undefined) return rotation;
  return restOf(next, seen);
}

function mayRest({ wish, standIn }: LaneSeen): boolean {
  return wish === 'force' || (wish === 'renew' && standIn.by !== undefined);
}

function restOf({ lane, standIn }: LaneSeen, { now, looks }: RotationSeen): Resting {
  return { phase: 'resting', lane, from: now, whole: standIn.by === 'gateways', looks, quiet: 0 };
}

function goOn(rotation: Resting, seen: RotationSeen): Rotation {
  const { now, looks, busy } = seen;
  const lane = seen.lanes.find((each) => each.lane === rotation.lane);
  if (lane === undefined || !seen.isTold || !mayRest(lane)) return backOff(seen);
  const whole = lane.standIn.by === 'gateways';
  if (whole !== rotation.whole) return restOf(lane, seen);
  if (now - rotation.from >= REST_MS) return renewed(rotation, lane, now);
  if (looks === rotation.looks) return rotation;
  const quiet = busy.has(lane.lane) ? 0 : rotation.quiet + 1;
  if (quiet >= QUIET_LOOKS) return renewed(rotation, lane, now);
  return { ...rotation, looks, quiet };
}

function renewed({ whole }: Resting, { lane, up }: LaneSeen, now: number): Proving {
  return { phase: 'proving', lane, from: now, whole, tunnels: up };
}

function prove(rotation: Proving, { now, lanes }: RotationSeen): Rotation {
  const { from, tunnels, provenAt, ...rest } = rotation;
  const up = new Set(lanes.find(({ lane }) => lane === rotation.lane)?.up);
  const isProven = tunnels.every((id) => up.has(id));
  const isSteady = isProven && provenAt !== undefined && now - provenAt >= STEADY_MS;
  if (isSteady || now - from >= PROOF_MS) return { phase: 'idle', until: now + PAUSE_MS };
  if (isProven === (provenAt !== undefined)) return rotation;
  return { ...rest, from, tunnels, ...(isProven && { provenAt: now }) };
}
