// What of a gateway others should leave alone, from what its site says.
// This module is pure.

import type { Drains } from '#site';
import { MAX_LANES } from '#lib/constants';
import type { Rests } from './rekeying.ts';

/** What of this gateway others should leave alone. */
export interface Resting {
  /** All of it. */
  readonly gateway: boolean;
  readonly lanes: ReadonlySet<unknown>;
  /** Clusters that nothing is sent to. */
  readonly clusters: ReadonlySet<unknown>;
}

export const NOTHING_RESTS: Resting = { gateway: false, lanes: new Set(), clusters: new Set() };

export interface Wanted {
  readonly drains: Drains;
  /** `site.yaml` still has this gateway. */
  readonly isListed: boolean;
  /** Lanes that it wants. */
  readonly lanes: number;
  /** What rests until it has a new key. */
  readonly rekeyed?: Rests;
}

/** A gateway that is taken out of the site drains before it goes; so does a lane, and one that gets a new key. */
export function resting(node: string, { drains, isListed, lanes, rekeyed }: Wanted): Resting {
  const given = Array.from({ length: MAX_LANES }, (_, lane) => lane).filter((lane) => lane >= lanes);
  return {
    gateway: !isListed || drains.gateways.includes(node) || rekeyed?.gateway === true,
    lanes: new Set([...given, ...(rekeyed?.lanes ?? [])]),
    clusters: new Set(drains.clusters),
  };
}

export function isSameRest(a: Resting, b: Resting): boolean {
  const lists = ['lanes', 'clusters'] as const;
  return a.gateway === b.gateway && lists.every((list) => a[list].symmetricDifference(b[list]).size === 0);
}
