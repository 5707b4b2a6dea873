// What probes say of the ways from a host, as JSON: for who asks a daemon from outside.
// This module is pure.

import type { TunnelId } from './tunnel-id.ts';
import type { Health } from './fleet.ts';

/** {@link Health}, with sorted lists for sets and maps. */
export interface HealthText {
  readonly healthy: readonly TunnelId[];
  readonly room?: undefined | readonly (readonly [TunnelId, number])[];
  readonly gateways?: undefined | readonly (readonly [ordinal: number, clusters: readonly number[]])[];
}

export function healthText({ healthy, room, gateways }: Health): HealthText {
  const reaching = gateways && [...gateways].map(([ordinal, clusters]) => [ordinal, [...clusters]] as const);
  return {
    healthy: [...healthy].toSorted(),
    ...(room && { room: [...room].toSorted(([a], [b]) => (a < b ? -1 : 1)) }),
    ...(reaching && { gateways: reaching.toSorted(([a], [b]) => a - b) }),
  };
}

export function parseHealth({ healthy, room, gateways }: HealthText): Health {
  return {
    healthy: new Set(healthy),
    ...(room && { room: new Map(room) }),
    ...(gateways && {
      gateways: new Map(gateways.map(([ordinal, clusters]) => [ordinal, new Set(clusters)])),
    }),
  };
}
