// What the gateway daemon tells of itself: part of the value behind /state, without secrets.
// This module is pure.

import { pathText } from '#lib/health';
import type { Clock } from '#lib/health';
import { NO_DRAINS } from '#site';
import type { Drains } from '#site';
import { healthText } from '#topology';
import type { DevicePlan, Fleet, Host, TunnelPlan } from '#topology';
import type { Membership } from './fleet.ts';
import type { Prober } from './prober.ts';
import type { Traffic } from './traffic.ts';

/** What the last pass started from, and what it planned. */
export interface Known {
  readonly membership: Membership | undefined;
  readonly fleet: Fleet | undefined;
  readonly host: Host | undefined;
  /** What operators have taken out of use. */
  readonly drains: Drains;
  readonly devices: readonly DevicePlan[];
  readonly tunnels: readonly TunnelPlan[];
}

export const NOTHING_KNOWN: Known = {
  membership: undefined,
  fleet: undefined,
  host: undefined,
  drains: NO_DRAINS,
  devices: [],
  tunnels: [],
};

/** What is seen of packets and probes. */
export interface Seen {
  readonly prober: Pick<Prober, 'reports' | 'standing' | 'relief' | 'ignored'>;
  /** What packets flow to or from by this gateway. */
  readonly traffic: Pick<Traffic, 'carries' | 'looks'>;
}

/** As JSON readers expect it: sorted lists for sets, wall-clock times for a monotonic clock's milliseconds. */
export function stateOf(
  { membership, fleet, host, drains, tunnels }: Known,
  { prober, traffic }: Seen,
  now: Clock,
): object {
  const wall = (at: number): Date => new Date(now.wall.getTime() - (now.monotonic - at));
  const paths = [...prober.reports()];
  const byId = new Map(paths.map((path) => [path.id, path]));
  // Of a link nobody says whether packets take it.
  const ways = new Map<string, object>(
    tunnels.map(({ id }) => [id, { ...prober.standing(id), used: host?.healthy.has(id) === true }]),
  );
  return {
    membership,
    fleet,
    host: host && { ...host, ...healthText(host) },
    tunnels: tunnels.map(({ id, device }) => {
      const path = byId.get(id);
      if (path === undefined) return { id, device, up: false, state: 'unknown' };
      const { state, since, rttMs, misses } = path;
      return { id, device, up: state === 'up', state, since: wall(since), rttMs, lost: misses };
    }),
    rests: { gateway: drains.gateways.some((name) => name === host?.node), clusters: drains.clusters },
    carries: [...traffic.carries].toSorted(),
    looks: traffic.looks,
    relief: [...prober.relief()].toSorted((a, b) => a - b),
    ignored: Object.fromEntries(prober.ignored()),
    paths: paths.map((path) => ({ ...pathText(path, now), ...ways.get(path.id) })),
  };
}
