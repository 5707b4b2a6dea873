// When the tunnel of a silent path is made anew.
// This module is pure.

import { Budget } from './budget.ts';

/** First wait, ms: what is only lost for a moment keeps its session. */
const FIRST_MS = 1000;
/** Pace while WireGuard's sessions may still live, ms: what comes back then has to be back within a second. */
const EAGER_MS = 500;
/** How long that is: WireGuard's REJECT_AFTER_TIME. */
const EAGER_FOR_MS = 180_000;
/** Longest wait, ms. */
const LONGEST_MS = 64_000;
/** Tunnels made anew a second: as many as one call of `wg` takes. */
const MOST_A_SECOND = 32;

/**
 * Milliseconds until a path that has been silent for `silentMs` is kicked (again). Later on the wait is half of the
 * silence so far, so each is half as long again as the one before. `random` in [0, 1) keeps two ends from kicking in step.
 */
export function kickDelayMs(silentMs: number, random: number): number {
  if (silentMs <= 0) return FIRST_MS;
  if (silentMs < EAGER_FOR_MS) return EAGER_MS * (1 + random);
  return Math.min(Math.max((silentMs - EAGER_FOR_MS) / 2, FIRST_MS), LONGEST_MS) * (1 + random / 2);
}

export function kickBudget(): Budget {
  return new Budget(MOST_A_SECOND, MOST_A_SECOND);
}
