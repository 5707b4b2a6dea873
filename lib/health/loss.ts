// Which path loses so much more than another that it is better left.
// This module is pure.

import type { Path } from './path.ts';
import { TALLY_SIZE, lostCount } from './tally.ts';

/**
 * Losses among the last 32 asks that are too many. At 30 % loss they come together within 2 s in 19 cases of 20; at 1 %
 * once in four days of traffic, at 2 % every third hour.
 */
const TOO_MANY = 6;
/**
 * For each loss of a sibling, so many more of its own: a loss that they share is the network's or our own, leaving the
 * path would gain nothing, and two paths of equal loss differ by twice as much all the time.
 */
const RATIO = 3;

/** Losses of the best sibling that makes `path` not worth its loss. Undefined: there is none, or not enough loss. */
export function betterSibling(path: Path, siblings: Iterable<Path>): number | undefined {
  const lost = lostCount(path.tally);
  if (path.state !== 'up' || lost < TOO_MANY) return undefined;
  let best: number | undefined;
  for (const sibling of siblings) {
    if (sibling === path || sibling.state !== 'up' || sibling.misses > 0) continue;
    // The long run as well: of many paths that lose alike, one has always just been lucky.
    const theirs = Math.max(lostCount(sibling.tally), Math.round(TALLY_SIZE * sibling.lossRate));
    if (lost >= TOO_MANY + RATIO * theirs && theirs < (best ?? Infinity)) best = theirs;
  }
  return best;
}
