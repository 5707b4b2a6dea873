// The way between two gateways over the internet: who dials whom, in which family, with how much room for a packet.
// This module is pure.

import { KEEPALIVE_SECONDS, WIREGUARD_OVERHEAD } from '#lib/constants';
import type { Family } from '#lib/ip';
import { familyOf } from '#lib/ip';
import type { Admitted } from './claims.ts';
import type { GatewayEndpoint, Health, RemoteGateway } from './fleet.ts';
import type { GatewayNode, Standpoint } from './standpoint.ts';

/** What one own gateway needs to know of its way to a remote one. */
export interface Leg {
  /** Where to send; absent: the other side dials. */
  readonly endpoint?: GatewayEndpoint['addresses'][number];
  /** Seconds; 0 is off. */
  readonly keepalive: number;
  /** Largest packet that the tunnel carries: the device's MTU, or less and a multiple of 16. */
  readonly mtu: number;
}

/** IPv4 first: 20 bytes less around each packet. */
const PREFERENCE: readonly Family[] = [4, 6];

/**
 * Both sides come to the same family where both have endpoints: the preferred one in which each can dial the other.
 * Undefined when neither can dial.
 */
function legBetween(local: GatewayNode, remote: RemoteGateway, linkMtu: number): Leg | undefined {
  const dialled = PREFERENCE.filter((family) => has(remote.endpoint, family) && canDial(local, family));
  const common = dialled.find((each) => has(local.endpoint, each));
  const family = common ?? dialled[0];
  const answered = local.endpoint && answer(local, local.endpoint, linkMtu);
  if (family === undefined) return answered;
  // With nothing in common the other side dials in a family of its own, and WireGuard answers where it was last heard from.
  const room = common === undefined ? (answered?.mtu ?? Infinity) : Infinity;
  const endpoint = remote.endpoint?.addresses.find((address) => familyOf(address) === family);
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    keepalive: isBehindNat(local, family) ? KEEPALIVE_SECONDS : 0,
    mtu: Math.min(tunnelMtu(local, family, linkMtu), room),
  };
}

/** Whether either side can dial the other. */
export function canMeet(local: GatewayNode, remote: RemoteGateway): boolean {
  return legBetween(local, remote, 0) !== undefined;
}

/** The MTU of a gateway's WireGuard devices: as large as its best family allows. */
export function deviceMtu(gateway: GatewayNode, linkMtu: number): number {
  return linkMtu - WIREGUARD_OVERHEAD[canDial(gateway, 4) ? 4 : 6];
}

/** What one own gateway has towards a cluster: a leg for each of its gateways, where there can be one. */
export interface Reach {
  readonly gateway: GatewayNode;
  readonly legs: readonly (Leg | undefined)[];
}

/** Of every own gateway that can have a tunnel there. */
export function reachOf({ gateways, host }: Standpoint, remotes: readonly RemoteGateway[]): readonly Reach[] {
  return gateways
    .map((gateway) => ({
      gateway,
      legs: remotes.map((remote) => legBetween(gateway, remote, host.uplink.mtu)),
    }))
    .filter(({ legs }) => legs.some((leg) => leg !== undefined));
}

/** Of these, the gateways that are known to carry packets there, where that is known of any; a host does not ask itself. */
export function ableGateways(
  reach: readonly Reach[],
  { remote }: Pick<Admitted, 'remote'>,
  { gateways }: Health,
): readonly Reach[] {
  if (gateways === undefined) return reach;
  return reach.filter(({ gateway }) => gateways.get(gateway.ordinal)?.has(remote.index));
}

/**
 * The route MTU towards a cluster: the least over all tunnels that a packet may come to pass, since another gateway or
 * a sibling's detour may be its way, and the least room on the way there.
 */
export function routeMtu(reach: readonly Reach[], wayMtu: number): number {
  const tunnels = reach.flatMap(({ legs }) => legs.map((leg) => leg?.mtu ?? Infinity));
  const least = Math.min(...tunnels);
  return wayMtu < least ? padded(wayMtu) : least;
}

/** A peer that dials in may do so in any family that we are reached by: room is left for the larger overhead. */
function answer(local: GatewayNode, endpoint: GatewayEndpoint, linkMtu: number): Leg {
  return { keepalive: 0, mtu: tunnelMtu(local, has(endpoint, 6) ? 6 : 4, linkMtu) };
}

function tunnelMtu(local: GatewayNode, family: Family, linkMtu: number): number {
  const device = deviceMtu(local, linkMtu);
  const room = linkMtu - WIREGUARD_OVERHEAD[family];
  return room < device ? padded(room) : device;
}

/** WireGuard pads a packet to a multiple of 16 unless it is as large as the device's MTU: what is less must not grow too large. */
export function padded(mtu: number): number {
  return mtu - (mtu % 16);
}

function canDial(gateway: GatewayNode, family: Family): boolean {
  return gateway.addresses.some((address) => familyOf(address) === family) || has(gateway.endpoint, family);
}

function has(endpoint: GatewayEndpoint | undefined, family: Family): boolean {
  return endpoint?.addresses.some((address) => familyOf(address) === family) ?? false;
}

/** Nobody reaches it by an address of its own: the translation between must not forget the flow. */
function isBehindNat(local: GatewayNode, family: Family): boolean {
  const outside = local.endpoint?.addresses.find((address) => familyOf(address) === family);
  return outside === undefined || !local.addresses.includes(outside);
}
