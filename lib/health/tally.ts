// Which of a path's last asks were lost, as one 32-bit number.
// This module is pure.

/** Judged asks of one path. Asks that are still out count as not lost. */
export interface Tally {
  /** Sequence that this tally began after: it knows nothing of that one nor of earlier ones. */
  readonly after: number;
  /** Highest sequence judged, or `after`. */
  readonly newest: number;
  /** Bit i is set where ask `newest − i` was lost. */
  readonly lost: number;
}

/** Asks that a tally reaches back: one machine word, and 2 s at the pace of a path that has lost some. */
export const TALLY_SIZE = 32;

export function newTally(after: number): Tally {
  return { after, newest: after, lost: 0 };
}

/** Judges one ask, also one judged before: an answer that comes late takes back its loss. */
export function judge(tally: Tally, sequence: number, isLost: boolean): Tally {
  const { after, newest, lost } = tally;
  if (sequence <= after || sequence <= newest - TALLY_SIZE) return tally;
  if (sequence > newest) {
    const steps = sequence - newest;
    // A shift by 32 is none at all in JavaScript.
    const kept = steps < TALLY_SIZE ? lost << steps : 0;
    return { after, newest: sequence, lost: (kept | (isLost ? 1 : 0)) >>> 0 };
  }
  const bit = 1 << (newest - sequence);
  return { after, newest, lost: (isLost ? lost | bit : lost & ~bit) >>> 0 };
}

/** How many of the asks with a higher sequence than `sequence` were lost. */
export function lostAfter({ newest, lost }: Tally, sequence: number): number {
  const width = Math.min(Math.max(newest - sequence, 0), TALLY_SIZE);
  return bitsOf(width === TALLY_SIZE ? lost : lost & ((1 << width) - 1));
}

export function lostCount({ lost }: Tally): number {
  return bitsOf(lost);
}

/** Asks that the tally speaks of, at most {@link TALLY_SIZE}. */
export function tallied({ after, newest }: Tally): number {
  return Math.min(newest - after, TALLY_SIZE);
}

/** What one ask weighs in the long run: the last 64, three seconds of traffic, weigh most of it. */
const GAIN = 1 / 64;

/** The share of asks that is lost in the long run, after one more that was answered. */
export function driftedDown(rate: number): number {
  return rate * (1 - GAIN);
}

/** The same after so many more that were lost. */
export function driftedUp(rate: number, lost: number): number {
  return 1 - (1 - rate) * (1 - GAIN) ** lost;
}

function bitsOf(word: number): number {
  let count = 0;
  for (let rest = word >>> 0; rest !== 0; rest = (rest & (rest - 1)) >>> 0) count += 1;
  return count;
}
