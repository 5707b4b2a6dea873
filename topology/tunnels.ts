// The tunnels from one gateway to the gateways of a remote cluster.
// This module is pure.

import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import { DEVICE_PREFIX } from '#lib/constants';
import type { Address, Cidr } from '#lib/ip';
import { sorted } from '#lib/ip';
import type { PeerConfig } from '#lib/wireguard';
import type { Admitted } from './claims.ts';
import { fabricAddress, fabricFamilies, peerPrefix } from './fabric.ts';
import type { RemoteCluster, RemoteGateway, TunnelId } from './fleet.ts';
import type { TunnelPlan } from './host-plan.ts';
import type { Leg } from './legs.ts';
import type { Slot } from './nexthops.ts';
import type { SlottedPeer } from './piece.ts';
import type { GatewayNode, Standpoint } from './standpoint.ts';

/** Lists of the same length and order: what is probed, where it is, and its peer. */
export interface Tunnels {
  readonly plans: readonly TunnelPlan[];
  readonly peers: readonly SlottedPeer[];
  readonly conditions: readonly Condition[];
}

/** Where the local ends stand, and their legs to the remote's gateways; undefined where neither side can dial. */
interface End {
  readonly standpoint: Standpoint;
  readonly self: GatewayNode;
  readonly legs: readonly (Leg | undefined)[];
}

export function deviceName(slot: Slot): string {
  return `${DEVICE_PREFIX}${Math.floor(slot / 8)}${slot % 8}`;
}

/** The other way round. */
export function slotNamed(device: string): Slot {
  return slotOf(Number(device.at(-2)), Number(device.at(-1)));
}

export function slotOf(ordinal: number, lane: number): Slot {
  return 8 * ordinal + lane;
}

/** As many lanes as both sides have. `cidrs` are the remote's pod CIDRs that this cluster can use. */
export function tunnelsTo(end: End, { remote, contested }: Admitted, cidrs: readonly Cidr[]): Tunnels {
  const plans: TunnelPlan[] = [];
  const peers: SlottedPeer[] = [];
  const conditions: Condition[] = [];
  for (const [at, gateway] of remote.gateways.entries()) {
    const leg = end.legs[at];
    if (leg === undefined) {
      const peer = `${remote.id}/${gateway.ordinal}`;
      conditions.push(condition('IST_DIAL_OUT_BOTH', peer, { peer }));
      continue;
    }
    for (const [lane, publicKey] of gateway.keys.slice(0, end.standpoint.own.lanes).entries()) {
      if (contested.has(publicKey)) continue;
      const plan = tunnelOf(end, remote, gateway.ordinal, lane);
      plans.push(plan);
      const allowedIps = sorted([...cidrs, ...plan.remote.map((address) => peerPrefix(address))]);
      const peer = { publicKey, ...dial(end, leg, gateway, lane), allowedIps, keepalive: leg.keepalive };
      peers.push({ slot: slotOf(gateway.ordinal, lane), peer });
    }
  }
  return { plans, peers, conditions };
}

function tunnelOf(
  { standpoint, self }: End,
  remote: RemoteCluster,
  ordinal: number,
  lane: number,
): TunnelPlan {
  const { fabric, own, kernel } = standpoint;
  const families = fabricFamilies(own.index, remote.index).filter((family) => kernel.includes(family));
  const at = (from: number, index: number): Address[] =>
    families.flatMap(
      (family) => fabricAddress(fabric, family, { ordinal: from, lane, index, node: 0 }) ?? [],
    );
  const id: TunnelId = `${remote.id}/${ordinal}#${lane}`;
  return {
    id,
    device: deviceName(slotOf(ordinal, lane)),
    local: at(self.ordinal, own.index),
    remote: at(ordinal, remote.index),
  };
}

/** Each gateway listens on base + 8 × lane + the other's ordinal: here the other is us. */
function dial(
  { self }: End,
  { endpoint: address }: Leg,
  { endpoint }: RemoteGateway,
  lane: number,
): Pick<PeerConfig, 'endpoint'> {
  if (address === undefined || endpoint === undefined) return {};
  return { endpoint: { address, port: endpoint.port + 8 * lane + self.ordinal } };
}
