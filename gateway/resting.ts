// What of a gateway others should leave alone, from what its site says.
// This module is pure.

import type { Drains } from '#site';
import { MAX_LANES } from '#lib/constants';
import type { Resting } from './prober.ts';
import type { Rests } from './rekeying.ts';

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
