// What the gateway daemon tells of itself: part of the value behind /state, without secrets.
// This module is pure.

import { pathText } from '#lib/health';
import type { Clock, PathReport } from '#lib/health';
import { healthText } from '#topology';
import type { DevicePlan, Fleet, Host, TunnelId, TunnelPlan } from '#topology';
import type { Membership } from './fleet.ts';
import type { Standing } from './usable.ts';

/** What the last pass started from, and what it planned. */
export interface Known {
  readonly membership: Membership | undefined;
  readonly fleet: Fleet | undefined;
  readonly host: Host | undefined;
  readonly devices: readonly DevicePlan[];
  readonly tunnels: readonly TunnelPlan[];
}

/** What the prober knows. */
export interface Seen {
  readonly reports: Iterable<PathReport>;
  readonly standing: (id: TunnelId) => Standing | undefined;
  /** Clusters that packets flow to or from by this gateway. */
  readonly carries: ReadonlySet<string>;
  /** Datagrams that changed nothing, by reason. */
  readonly ignored: ReadonlyMap<string, number>;
}

/** As JSON readers expect it: sorted lists for sets, wall-clock times for a monotonic clock's milliseconds. */
export function stateOf(
  { membership, fleet, host, tunnels }: Known,
  { reports, standing, carries, ignored }: Seen,
  now: Clock,
): object {
  const wall = (at: number): Date => new Date(now.wall.getTime() - (now.monotonic - at));
  const paths = [...reports];
  const byId = new Map(paths.map((path) => [path.id, path]));
  const far = new Map<string, Standing | undefined>(tunnels.map(({ id }) => [id, standing(id)]));
  const used = new Set<string>(host?.healthy);
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
    carries: [...carries].toSorted(),
    ignored: Object.fromEntries(ignored),
    paths: paths.map((path) => ({
      ...pathText(path, now),
      ...far.get(path.id),
      used: used.has(path.id),
    })),
  };
}
