// How long something that failed has to be steady before it is used again (RFC 2439 in spirit).
// This module is pure.

/** One failure counts 1, and half of that a minute later. */
export interface Damping {
  readonly penalty: number;
  readonly at: number;
}

export const UNDAMPED: Damping = { penalty: 0, at: 0 };

/** Milliseconds in which a failure is half forgotten. */
const HALF_LIFE_MS = 60_000;
/** Proof after a single failure, ms: twice the on-time of a path that flaps at 1 Hz. */
const FIRST_PROOF_MS = 1000;
/** Each further recent failure asks for a proof this many times as long. */
const GROWTH = 4;
/** Longest proof, ms. */
const LONGEST_PROOF_MS = 60_000;

export function failed(damping: Damping, now: number): Damping {
  return { penalty: penaltyAt(damping, now) + 1, at: now };
}

/** Milliseconds of unbroken answers. */
export function proofMs(damping: Damping, now: number): number {
  const recent = Math.max(penaltyAt(damping, now) - 1, 0);
  return Math.min(FIRST_PROOF_MS * GROWTH ** recent, LONGEST_PROOF_MS);
}

function penaltyAt({ penalty, at }: Damping, now: number): number {
  return penalty * 0.5 ** ((now - at) / HALF_LIFE_MS);
}
