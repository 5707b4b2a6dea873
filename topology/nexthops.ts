// The ids of nexthop objects: known from what they lead to, so that a restart finds its own again.
// This module is pure.

import { NEXTHOP_BASE } from '#lib/constants';
import type { Family } from '#lib/ip';

/** One WireGuard interface of a gateway: 8 × remote ordinal + lane. Its name is `ist<ordinal><lane>`. */
export type Slot = number;

export function tunnelNexthop(family: Family, slot: Slot): number {
  return idOf(family, slot);
}

export function siblingNexthop(family: Family, ordinal: number): number {
  return idOf(family, 100 + ordinal);
}

/** A worker's way to one of its own gateways. */
export function gatewayNexthop(family: Family, ordinal: number): number {
  return idOf(family, 200 + ordinal);
}

/** All siblings of a gateway: the standing detour. */
export function siblingGroup(family: Family): number {
  return idOf(family, 300);
}

/** Those siblings alone that can have a tunnel to a cluster, where some cannot. */
export function detourGroup(family: Family, index: number): number {
  return idOf(family, 3000 + index);
}

/** All that leads to a cluster: tunnels on a gateway, gateways on a worker. */
export function clusterGroup(family: Family, index: number): number {
  return idOf(family, 1000 + index);
}

function idOf(family: Family, offset: number): number {
  return NEXTHOP_BASE + family * 100_000 + offset;
}
