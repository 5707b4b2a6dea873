// Tunnels as an operator is told of them.
// This module is pure.

import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import type { Path } from './liveness.ts';
import { PROBE_PORT } from '#lib/constants';
import { familyOf } from '#lib/ip';
import type { DevicePlan, TunnelId, TunnelPlan } from '#topology';

/** Milliseconds that a tunnel may be silent before anybody is told: a handshake and two kicks. */
const PATIENCE_MS = 5000;

/** A cluster without any path is one condition, and its silent tunnels are not told one by one. */
export function pathConditions(
  tunnels: readonly TunnelPlan[],
  paths: ReadonlyMap<TunnelId, Path>,
  now: number,
): readonly Condition[] {
  const byCluster = Map.groupBy(tunnels, ({ id }) => id.slice(0, id.lastIndexOf('/')));
  return [...byCluster].flatMap(([cluster, own]) => {
    const silent = own.filter(({ id }) => isSilent(paths.get(id), now));
    if (silent.length === own.length) return [condition('IST_NO_PATH', cluster, { cluster })];
    return silent.map(({ id }) => condition('IST_TUNNEL_DOWN', id, { tunnel: id }));
  });
}

/** Milliseconds that a far daemon may need for a restart before anybody is told. */
const RESTART_MS = 10_000;

/** Gateways whose kernel refuses probes: nobody adapts them any more to what changes. */
export function stoppedConditions(paths: ReadonlyMap<TunnelId, Path>, now: number): readonly Condition[] {
  const stopped = [...paths].filter(([, { refusedSince = now }]) => now - refusedSince > RESTART_MS);
  const peers = new Set(stopped.map(([id]) => id.slice(0, id.lastIndexOf('#'))));
  return [...peers].map((peer) => condition('IST_GATEWAY_STOPPED', peer, { peer }));
}

/**
 * Of userspace devices: wireguard-go as it is released sends IPv6 packets of a device that also sends IPv4 ones to a wrong
 * address. Mended builds exist and nothing tells them apart, so it is said only where an IPv6 tunnel is silent.
 */
export function familyConditions(
  devices: readonly DevicePlan[],
  tunnels: readonly TunnelPlan[],
  paths: ReadonlyMap<TunnelId, Path>,
  now: number,
): readonly Condition[] {
  return devices.flatMap(({ name, peers }) => {
    const over = (family: 4 | 6): DevicePlan['peers'] =>
      peers.filter(({ endpoint }) => endpoint !== undefined && familyOf(endpoint.address) === family);
    if (over(4).length === 0) return [];
    const keys = new Set(over(6).map(({ publicKey }) => publicKey));
    const silent = tunnels.find(
      ({ id, device, peer }) => device === name && keys.has(peer) && isSilent(paths.get(id), now),
    );
    return silent === undefined
      ? []
      : [condition('IST_WIREGUARD_FAMILIES', name, { device: name, tunnel: silent.id })];
  });
}

/** `refused`: own addresses that probes cannot be sent from, and why. */
export function refusedConditions(refused: ReadonlyMap<string, string>): readonly Condition[] {
  return [...refused].map(([address, reason]) =>
    condition('IST_PROBE_REFUSED', address, { address, port: `${PROBE_PORT}`, reason }),
  );
}

function isSilent(path: Path | undefined, now: number): boolean {
  if (path === undefined || path.state === 'up') return false;
  return path.state === 'down' || now - path.since > PATIENCE_MS;
}
