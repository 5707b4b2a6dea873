// Tunnels as an operator is told of them.
// This module is pure.

import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import type { PathReport } from '#lib/health';
import { familyOf } from '#lib/ip';
import type { Drains } from '#site';
import { clusterOf, gatewayOf } from '#topology';
import type { DevicePlan, Health, RemoteCluster, TunnelId, TunnelPlan } from '#topology';
import type { Known as Planned } from './state.ts';
import type { Standing } from './usable.ts';

/** What is known of a tunnel, if anything. */
type Known = (id: TunnelId) => Pick<PathReport, 'state' | 'since' | 'refusedSince' | 'mtu'> | undefined;

/** Milliseconds that a tunnel may be silent before anybody is told: a handshake and two kicks. */
const PATIENCE_MS = 5000;

/** What a gateway knows of its ways. */
export interface Ways extends Pick<Planned, 'tunnels' | 'devices' | 'drains' | 'fleet' | 'host'> {
  readonly reports: readonly PathReport[];
  readonly standing: (id: TunnelId) => Standing | undefined;
  /** WireGuard runs in processes. */
  readonly isUserspace: boolean;
}

/** Everything that there is to tell of them. */
export function waysConditions(node: string, ways: Ways, now: number): readonly Condition[] {
  const { tunnels, devices, drains, reports, standing, isUserspace, fleet, host } = ways;
  const byId = new Map<string, PathReport>(reports.map((report) => [report.id, report]));
  const known: Known = (id) => byId.get(id);
  const led = ledBySiblings(fleet?.remotes ?? [], host?.gateways);
  return [
    ...pathConditions(tunnels, { known, led }, now),
    ...drainConditions(drains),
    ...stoppedConditions(tunnels, known, now),
    ...standingConditions(tunnels, { standing, known }),
    ...(isUserspace ? familyConditions(devices, tunnels, known, now) : []),
    ...(isUserspace ? [condition('IST_WIREGUARD_USERSPACE', node, { program: 'wireguard-go' })] : []),
  ];
}

/** Clusters that other gateways of this one say they reach. */
export function ledBySiblings(
  remotes: readonly RemoteCluster[],
  siblings: Health['gateways'] = new Map(),
): ReadonlySet<string> {
  const reached = [...siblings.values()];
  const led = remotes.filter(({ index }) => reached.some((clusters) => clusters.has(index)));
  return new Set(led.map(({ id }) => id));
}

/** What is out of use because somebody wanted it so: easily forgotten. */
export function drainConditions({ gateways, clusters }: Drains): readonly Condition[] {
  const drained = (kind: string) => (name: string) =>
    condition('IST_DRAINED', `${kind} ${name}`, { kind, name });
  return [...gateways.map(drained('gateway')), ...clusters.map(drained('cluster'))];
}

/** A cluster that no own tunnel reaches is one condition, and its silent tunnels are not told one by one. */
export function pathConditions(
  tunnels: readonly Pick<TunnelPlan, 'id'>[],
  { known, led }: { readonly known: Known; readonly led: ReadonlySet<string> },
  now: number,
): readonly Condition[] {
  const byCluster = Map.groupBy(tunnels, ({ id }) => clusterOf(id));
  return [...byCluster].flatMap(([cluster, own]) => {
    const silent = own.filter(({ id }) => isSilent(known(id), now));
    if (silent.length === own.length)
      return [condition(led.has(cluster) ? 'IST_PATH_BY_SIBLING' : 'IST_NO_PATH', cluster, { cluster })];
    return silent.map(({ id }) => condition('IST_TUNNEL_DOWN', id, { tunnel: id }));
  });
}

/** Milliseconds that a far daemon may need for a restart before anybody is told. */
const RESTART_MS = 10_000;

/** Gateways whose kernel refuses probes: nobody adapts them any more to what changes. */
export function stoppedConditions(
  tunnels: readonly Pick<TunnelPlan, 'id'>[],
  paths: Known,
  now: number,
): readonly Condition[] {
  const stopped = tunnels.filter(({ id }) => now - (paths(id)?.refusedSince ?? now) > RESTART_MS);
  const peers = new Set(stopped.map(({ id }) => gatewayOf(id)));
  return [...peers].map((peer) => condition('IST_GATEWAY_STOPPED', peer, { peer }));
}

/** Clusters whose gateways say that this one does not forward. */
export function blockedClusters(
  tunnels: readonly Pick<TunnelPlan, 'id'>[],
  standing: Ways['standing'],
): ReadonlySet<string> {
  const saying = tunnels.filter(({ id }) => standing(id)?.blocked === true);
  return new Set(saying.map(({ id }) => clusterOf(id)));
}

/** Far gateways that do not forward, and paths that IPv6 cannot use. */
export function standingConditions(
  tunnels: readonly Pick<TunnelPlan, 'id'>[],
  { standing, known }: Pick<Ways, 'standing'> & { readonly known: Known },
): readonly Condition[] {
  const said = (flag: 'deaf' | 'narrow'): TunnelId[] =>
    tunnels.map(({ id }) => id).filter((id) => standing(id)?.[flag] === true);
  const deaf = new Set(said('deaf').map(gatewayOf));
  return [
    ...[...deaf].map((peer) => condition('IST_GATEWAY_DEAF', peer, { peer })),
    ...said('narrow').map((id) =>
      condition('IST_PATH_NARROW', id, { tunnel: id, room: `${known(id)?.mtu}` }),
    ),
  ];
}

/**
 * Of userspace devices: wireguard-go as it is released sends IPv6 packets of a device that also sends IPv4 ones to a wrong
 * address. Mended builds exist and nothing tells them apart, so it is said only where an IPv6 tunnel is silent.
 */
export function familyConditions(
  devices: readonly DevicePlan[],
  tunnels: readonly TunnelPlan[],
  paths: Known,
  now: number,
): readonly Condition[] {
  return devices.flatMap(({ name, peers }) => {
    const over = (family: 4 | 6): DevicePlan['peers'] =>
      peers.filter(({ endpoint }) => endpoint !== undefined && familyOf(endpoint.address) === family);
    if (over(4).length === 0) return [];
    const keys = new Set(over(6).map(({ publicKey }) => publicKey));
    const silent = tunnels.find(
      ({ id, device, peer }) => device === name && keys.has(peer) && isSilent(paths(id), now),
    );
    return silent === undefined
      ? []
      : [condition('IST_WIREGUARD_FAMILIES', name, { device: name, tunnel: silent.id })];
  });
}

function isSilent(path: Pick<PathReport, 'state' | 'since'> | undefined, now: number): boolean {
  if (path === undefined || path.state === 'up' || path.state === 'held') return false;
  return path.state === 'down' || now - path.since > PATIENCE_MS;
}
