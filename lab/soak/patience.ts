// Waits, within bounds, for what has to come about by itself.

import { setTimeout as sleep } from 'node:timers/promises';

export interface Patience {
  readonly signal: AbortSignal;
  readonly patienceMs: number;
  /** @default 500 */
  readonly lookMs?: number;
}

/** Looks until nothing is amiss any more. @returns what still is in the end */
export async function waitFor(
  amiss: () => Promise<readonly string[]>,
  { signal, patienceMs, lookMs = 500 }: Patience,
): Promise<readonly string[]> {
  for (const until = performance.now() + patienceMs; ; await sleep(lookMs, undefined, { signal })) {
    const found = await amiss();
    if (found.length === 0 || performance.now() > until) return found;
  }
}
