// What the gateway daemon tells of itself: part of the value behind /state, without secrets.
// This module is pure.

import type { Path } from './liveness.ts';
import { healthText } from '#topology';
import type { DevicePlan, Fleet, Host, TunnelId, TunnelPlan } from '#topology';
import type { Membership } from './fleet.ts';

/** What the last pass started from, and what it planned. */
export interface Known {
  readonly membership: Membership | undefined;
  readonly fleet: Fleet | undefined;
  readonly host: Host | undefined;
  readonly devices: readonly DevicePlan[];
  readonly tunnels: readonly TunnelPlan[];
}

/** As JSON readers expect it: sorted lists for sets, wall-clock times for a monotonic clock's milliseconds. */
export function stateOf(
  { membership, fleet, host, tunnels }: Known,
  paths: ReadonlyMap<TunnelId, Path>,
  now: { readonly monotonic: number; readonly wall: Date },
): object {
  const wall = (since: number): Date => new Date(now.wall.getTime() - (now.monotonic - since));
  return {
    membership,
    fleet,
    host: host && { ...host, ...healthText(host) },
    tunnels: tunnels.map(({ id, device }) => {
      const path = paths.get(id);
      if (path === undefined) return { id, device, up: false, state: 'unknown' };
      const { state, since, rttMs, misses } = path;
      return { id, device, up: state === 'up', state, since: wall(since), rttMs, lost: misses };
    }),
  };
}
