// How long an answer may take, from how long answers took.
// This module is pure.

/** Smoothed round trip with its variation, ms (RFC 6298 §2). */
export interface Rtt {
  readonly smoothMs: number;
  readonly variationMs: number;
}

/** Least wait for an answer, ms: a far event loop, or a collection of its garbage, takes this long on a quiet day. */
const LEAST_MS = 75;
/** Most, and the wait where no round trip is known. No two places on earth are further apart. */
const MOST_MS = 1000;
/** Least allowance for variation, ms: an even path far away would else be judged by its timer's rounding. */
const LEAST_VARIATION_MS = 25;

/** After a round trip of `ms`: gains of RFC 6298, which outlive a single slow answer and follow a new way within ten. */
export function sampled(rtt: Rtt | undefined, ms: number): Rtt {
  if (rtt === undefined) return { smoothMs: ms, variationMs: ms / 2 };
  const variationMs = 0.75 * rtt.variationMs + 0.25 * Math.abs(rtt.smoothMs - ms);
  return { smoothMs: 0.875 * rtt.smoothMs + 0.125 * ms, variationMs };
}

/** Milliseconds after which an ask counts as unanswered. */
export function patienceMs(rtt: Rtt | undefined): number {
  if (rtt === undefined) return MOST_MS;
  const ms = rtt.smoothMs + Math.max(4 * rtt.variationMs, LEAST_VARIATION_MS);
  return Math.min(Math.max(ms, LEAST_MS), MOST_MS);
}
