// When the tunnel of a silent path is made anew.
// This module is pure.

import { Budget } from './budget.ts';

/** First wait, ms: what is only lost for a moment keeps its session. */
const FIRST_MS = 1000;
/** Pace while WireGuard's sessions may still live, ms: what comes back then has to be back within a second. */
const EAGER_MS = 300;
/** How long that is: WireGuard's REJECT_AFTER_TIME. */
const EAGER_FOR_MS = 180_000;
/**
 * Round trips between two kicks at the least: a handshake and the first answers take two of them, and a kick at either end
 * undoes it. Over a way of 500 ms there and back, the pace above would never let one end.
 */
const ROUND_TRIPS = 3;
/** The same where no round trip is known, ms: reached once the path has been silent for eight times as long. */
const UNKNOWN_MS = 1000;
/** Longest wait, ms. */
const LONGEST_MS = 64_000;
/** Tunnels made anew a second: as many as one call of `wg` takes. */
const MOST_A_SECOND = 32;
/** Wait where that many were, ms: until there is room for one more. */
export const CROWDED_MS = Math.ceil(1000 / MOST_A_SECOND);

/**
 * Milliseconds until a path that has been silent for `silentMs` is kicked (again). Later on the wait is half of the
 * silence so far, so each is half as long again as the one before. `random` in [0, 1) keeps two ends from kicking in step.
 */
export function kickDelayMs(silentMs: number, random: number, rttMs?: number): number {
  if (silentMs <= 0) return FIRST_MS;
  const patience = rttMs === undefined ? Math.min(silentMs / 8, UNKNOWN_MS) : ROUND_TRIPS * rttMs;
  if (silentMs < EAGER_FOR_MS) return Math.max(EAGER_MS, patience) * (1 + random);
  return Math.min(Math.max((silentMs - EAGER_FOR_MS) / 2, FIRST_MS), LONGEST_MS) * (1 + random / 2);
}

export function kickBudget(): Budget {
  return new Budget(MOST_A_SECOND, MOST_A_SECOND);
}
