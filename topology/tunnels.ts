// The tunnels from one gateway to the gateways of a remote cluster.
// This module is pure.

import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import { DEVICE_PREFIX } from '#lib/constants';
import type { Address, Cidr } from '#lib/ip';
import { familyOf } from '#lib/ip';
import type { PeerConfig } from '#lib/wireguard';
import type { Admitted } from './claims.ts';
import { fabricAddress, fabricFamilies, peerPrefix } from './fabric.ts';
import type { RemoteCluster, RemoteGateway } from './fleet.ts';
import type { TunnelPlan } from './host-plan.ts';
import type { Leg } from './legs.ts';
import { slotOf } from './nexthops.ts';
import type { Slot } from './nexthops.ts';
import type { SlottedPeer } from './piece.ts';
import type { GatewayNode, Standpoint } from './standpoint.ts';
import { tunnelId } from './tunnel-id.ts';

/** Lists of the same length and order: what is probed, where it is, and its peer. */
export interface Tunnels {
  readonly plans: readonly TunnelPlan[];
  readonly peers: readonly SlottedPeer[];
  readonly conditions: readonly Condition[];
}

/** Where a gateway's own tunnel ends stand. */
export interface Base {
  readonly standpoint: Standpoint;
  readonly self: GatewayNode;
  /** Own fabric addresses by lane, IPv6 first. */
  readonly ends: readonly (readonly Address[])[];
}

export function baseOf(standpoint: Standpoint, self: GatewayNode): Base {
  const { own, fabric, kernel } = standpoint;
  const families = fabricFamilies(own.index).filter((family) => kernel.includes(family));
  const ends = Array.from({ length: own.lanes }, (_, lane) =>
    families.flatMap(
      (family) =>
        fabricAddress(fabric, family, { ordinal: self.ordinal, lane, index: own.index, node: 0 }) ?? [],
    ),
  );
  return { standpoint, self, ends };
}

export function deviceName(slot: Slot): string {
  return `${DEVICE_PREFIX}${Math.floor(slot / 8)}${slot % 8}`;
}

/** The other way round. */
export function slotNamed(device: string): Slot {
  return slotOf(Number(device.at(-2)), Number(device.at(-1)));
}

/**
 * As many lanes as both sides have. `cidrs` are the remote's pod CIDRs that this cluster can use, sorted; `legs` lead to
 * its gateways, in their order, and are undefined where neither side can dial.
 */
export function tunnelsTo(
  base: Base,
  legs: readonly (Leg | undefined)[],
  { remote, contested }: Admitted,
  cidrs: readonly Cidr[],
): Tunnels {
  const plans: TunnelPlan[] = [];
  const peers: SlottedPeer[] = [];
  const conditions: Condition[] = [];
  for (const [at, gateway] of remote.gateways.entries()) {
    const leg = legs[at];
    if (leg === undefined) {
      const peer = `${remote.id}/${gateway.ordinal}`;
      conditions.push(condition('IST_DIAL_OUT_BOTH', peer, { peer }));
      continue;
    }
    for (const [lane, publicKey] of gateway.keys.slice(0, base.ends.length).entries()) {
      if (contested.has(publicKey)) continue;
      const plan = { ...tunnelOf(base, remote, gateway.ordinal, lane), peer: publicKey, mtu: leg.mtu };
      plans.push(plan);
      const allowedIps = [...cidrs, ...plan.remote.map((address) => peerPrefix(address))];
      const peer = { publicKey, ...dial(base, leg, gateway, lane), allowedIps, keepalive: leg.keepalive };
      peers.push({ slot: slotOf(gateway.ordinal, lane), peer });
    }
  }
  return { plans, peers, conditions };
}

function tunnelOf(
  { standpoint, ends }: Base,
  { id, index }: RemoteCluster,
  ordinal: number,
  lane: number,
): Omit<TunnelPlan, 'peer' | 'mtu'> {
  const known = fabricFamilies(index);
  const local = (ends[lane] ?? []).filter((address) => known.includes(familyOf(address)));
  const remote = local.flatMap(
    (address) => fabricAddress(standpoint.fabric, familyOf(address), { ordinal, lane, index, node: 0 }) ?? [],
  );
  return { id: tunnelId(id, ordinal, lane), device: deviceName(slotOf(ordinal, lane)), local, remote };
}

/** Each gateway listens on base + 8 × lane + the other's ordinal: here the other is us. */
function dial(
  { self }: Base,
  { endpoint: address }: Leg,
  { endpoint }: RemoteGateway,
  lane: number,
): Pick<PeerConfig, 'endpoint'> {
  if (address === undefined || endpoint === undefined) return {};
  return { endpoint: { address, port: endpoint.port + 8 * lane + self.ordinal } };
}
