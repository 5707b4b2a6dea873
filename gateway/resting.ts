// What of a gateway others should leave alone, from what its site says.
// This module is pure.

import type { Drains } from '#site';
import { MAX_LANES } from '#lib/constants';
import type { Resting } from './prober.ts';

export interface Wanted {
  readonly drains: Drains;
  /** `site.yaml` still has this gateway. */
  readonly isListed: boolean;
  /** Lanes that it wants. */
  readonly lanes: number;
}

/** A gateway that is taken out of the site drains before it goes; so does a lane. */
export function resting(node: string, { drains, isListed, lanes }: Wanted): Resting {
  const given = Array.from({ length: MAX_LANES }, (_, lane) => lane).filter((lane) => lane >= lanes);
  return {
    gateway: !isListed || drains.gateways.includes(node),
    lanes: new Set(given),
    clusters: new Set(drains.clusters),
  };
}
