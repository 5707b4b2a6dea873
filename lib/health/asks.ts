// Asks of one path that an answer may still come to.
// This module is pure.

import { deadline } from './lateness.ts';
import type { Lateness } from './lateness.ts';

/** One ask that is out. Times are milliseconds on one monotonic clock. */
export interface Ask {
  /** 1 for a path's first ask, then one more each time. */
  readonly sequence: number;
  readonly at: number;
  /** When it counts as lost. */
  readonly overdueAt: number;
  /**
   * It counts as lost, or as answered by the far kernel. A late answer of the daemon still tells how far the way is, takes the
   * loss back, and shows that the daemon runs.
   */
  readonly isJudged: boolean;
  /** It left in doubt, so a knock at the far kernel left with it. */
  readonly isKnocking: boolean;
}

/** Milliseconds for which a judged ask is remembered: no answer that is of any use is older, and no path is given up for less. */
const MEMORY_MS = 2000;

/** With one more; those too old for an answer are forgotten. */
export function withAsk(asks: readonly Ask[], ask: Ask): readonly Ask[] {
  const [oldest] = asks;
  const isStale = oldest !== undefined && oldest.isJudged && ask.at - oldest.at > MEMORY_MS;
  const kept = isStale ? asks.filter(({ at, isJudged }) => !isJudged || ask.at - at <= MEMORY_MS) : asks;
  return [...kept, ask];
}

/** Asks that count as lost from `now` on and did not before, oldest first. */
export function overdue(asks: readonly Ask[], now: number, late: Lateness): readonly Ask[] {
  return asks.filter((ask) => !ask.isJudged && deadline(late, ask) <= now);
}

/** When the next ask counts as lost, or Infinity. */
export function firstDeadline(asks: readonly Ask[], late: Lateness): number {
  let first = Infinity;
  for (const ask of asks) if (!ask.isJudged) first = Math.min(first, deadline(late, ask));
  return first;
}
