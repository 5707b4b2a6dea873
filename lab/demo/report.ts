// What the demo found, and whether that is what it promises.
// This module is pure.

import type { MatrixPair } from '../matrix.ts';

/** Printed by `--json`. */
export interface Report {
  readonly sites: readonly string[];
  /** Pod or host process → pod of another site, each family once. */
  readonly pairs: number;
  readonly reached: number;
  /** Reached, and seen by the address that is the sender's own. */
  readonly sourceKept: number;
  readonly throughputMbps: number;
  /** The same pairs, with the broker stopped. */
  readonly brokerDown: { readonly reached: number };
  /** What was still to be found of a site that had left, on its hosts and on all others. */
  readonly afterLeave: { readonly leftovers: number };
  readonly seconds: number;
}

/** Why the demo did not show what it promises; empty when it did. */
export function faultsOf(report: Omit<Report, 'seconds'>): string[] {
  const { pairs, reached, sourceKept, brokerDown, afterLeave } = report;
  const faults: string[] = [];
  if (reached < pairs) faults.push(`${pairs - reached} of ${pairs} pairs were not reached`);
  if (sourceKept < reached)
    faults.push(`${reached - sourceKept} pairs were seen by an address that is not the sender's`);
  if (brokerDown.reached < pairs)
    faults.push(`${pairs - brokerDown.reached} of ${pairs} pairs were not reached without the broker`);
  if (afterLeave.leftovers > 0)
    faults.push(`${afterLeave.leftovers} things of a site that left were still there`);
  return faults;
}

export function countReached(pairs: readonly MatrixPair[]): number {
  return pairs.filter((pair) => pair.reached).length;
}

export function countKept(pairs: readonly MatrixPair[]): number {
  return pairs.filter((pair) => pair.kept).length;
}
