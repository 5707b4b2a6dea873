// How long from one ask to the next, with how pressing it is.
// This module is pure.

import { isDoubted, isStopped } from './path.ts';
import type { Path } from './path.ts';
import { lostCount } from './tally.ts';

/**
 * Which asks leave first where there are more than may: 0 decides about traffic, 1 watches over it, 2 decides about a
 * path that carries none, 3 is all that can wait. What is down waits like what is idle, each in its turn: a thousand
 * silent paths would else take nearly all, and one more that falls silent would be seen late.
 */
export type Urgency = 0 | 1 | 2 | 3;

export interface Pace {
  readonly ms: number;
  readonly urgency: Urgency;
}

/** What goes on around a path. */
export interface Surroundings {
  readonly now: number;
  /** Under watch, whomever they lead to. */
  readonly paths: number;
  /** Traffic flows to or from its neighbour. */
  readonly hasTraffic: boolean;
  /** A path to its neighbour, this or another, has missed an answer. */
  readonly isDoubtful: boolean;
  /** The size of its packets is being looked for. */
  readonly isSizing: boolean;
}

/** All is well, ms. */
const IDLE_MS = 1000;
/** Longest, where there are thousands: one that dies is seen within 4 s. */
const LONGEST_IDLE_MS = 3100;
/** Idle paths asked in a second, all together, but for {@link LONGEST_IDLE_MS}: what they cost is for traffic to use. */
const IDLE_A_SECOND = 750;
/** There is something to lose, ms: four asks in doubt's pace and their time end within 350 ms of the last answer. */
const BUSY_MS = 75;
/** An answer stayed out, ms. */
const DOUBT_MS = 50;
/** It went down a short while ago, ms: what comes back within {@link RECENT_MS} is back within a second. */
const DOWN_MS = 100;
/** WireGuard forgets a session after this time (REJECT_AFTER_TIME), and nothing comes back without a handshake. */
const RECENT_MS = 180_000;
/** It has never answered and is young, ms. */
const YOUNG_MS = 250;
const YOUTH_MS = 10_000;
/** Kernels refuse once a second (icmp_ratelimit): an ask less than that after another would look lost. */
const REFUSED_MS = 1100;
/** It has lost one of its last 32, ms: at this pace either more come soon, or the one is soon forgotten. */
const SUSPICIOUS_MS = 40;

/** A path's pace. Spread it with {@link spread}. */
export function paceOf(path: Path, around: Surroundings): Pace {
  if (isStopped(path)) return { ms: REFUSED_MS, urgency: 3 };
  if (path.state === 'up') return paceUp(path, around);
  const ms = paceBack(path, around);
  return { ms, urgency: around.hasTraffic && ms < IDLE_MS ? 2 : 3 };
}

/** Milliseconds, where it is not up. */
function paceBack({ state, since }: Path, { now, paths }: Surroundings): number {
  if (state === 'held') return BUSY_MS;
  if (state === 'unknown') return now - since < YOUTH_MS ? YOUNG_MS : idleMs(paths);
  return now - since < RECENT_MS ? DOWN_MS : idleMs(paths);
}

/** The pace of a path that gives way: where more is due than may be asked, it waits like what is idle. */
export function yielding({ ms }: Pace): Pace {
  return { ms, urgency: 3 };
}

function paceUp(path: Path, { paths, hasTraffic, isDoubtful, isSizing }: Surroundings): Pace {
  const urgency: Urgency = hasTraffic ? 1 : 2;
  if (isDoubted(path)) return { ms: DOUBT_MS, urgency: hasTraffic ? 0 : 2 };
  if (lostCount(path.tally) > 0) return { ms: SUSPICIOUS_MS, urgency };
  return hasTraffic || isDoubtful || isSizing ? { ms: BUSY_MS, urgency } : { ms: idleMs(paths), urgency: 3 };
}

/** Milliseconds between two checks of a packet size that stands: at once when traffic begins, else at every tenth ask. */
export function sizeCheckMs({ hasTraffic, paths }: Pick<Surroundings, 'hasTraffic' | 'paths'>): number {
  return hasTraffic ? 500 : 10 * idleMs(paths);
}

function idleMs(paths: number): number {
  return Math.min(Math.max(IDLE_MS, (1000 * paths) / IDLE_A_SECOND), LONGEST_IDLE_MS);
}

/**
 * Milliseconds to the next ask, unevenly, so that those which began together do not stay together: a fast pace is never
 * slower for it, and a slow one never faster. `random` in [0, 1).
 */
export function spread({ ms }: Pace, random: number): number {
  return ms * (ms < IDLE_MS ? 0.9 + 0.1 * random : 1 + 0.1 * random);
}
