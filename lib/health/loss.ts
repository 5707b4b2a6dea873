// Which path loses so much more than another that it is better left.
// This module is pure.

import type { Path } from './path.ts';
import { lostCount } from './tally.ts';

/**
 * Losses among the last 32 asks. At 30 % loss they come together within 2 s; at 1 % once in five days of a path's life,
 * and at 2 % every other hour.
 */
const LEAST_LOST = 6;
/** A loss that siblings share is the network's or our own: leaving the path would gain nothing. */
const RATIO = 3;

/** Losses of the best sibling that makes `path` not worth its loss. Undefined: there is none, or not enough loss. */
export function betterSibling(path: Path, siblings: Iterable<Path>): number | undefined {
  const lost = lostCount(path.tally);
  if (path.state !== 'up' || lost < LEAST_LOST) return undefined;
  let best: number | undefined;
  for (const sibling of siblings) {
    if (sibling === path || sibling.state !== 'up' || sibling.misses > 0) continue;
    const theirs = lostCount(sibling.tally);
    if (theirs * RATIO <= lost && theirs < (best ?? Infinity)) best = theirs;
  }
  return best;
}
