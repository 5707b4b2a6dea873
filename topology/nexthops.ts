// The ids of nexthop objects: known from what they lead to, so that a restart finds its own again.
// This module is pure.
//
// The kernel keeps a route's MTU with the nexthop object: of all routes by one object, the one that is used first decides
// for the others (measured on Linux 6.18, IPv4 and IPv6). So routes of one MTU have objects of their own.

import { NEXTHOP_BASE } from '#lib/constants';
import type { Family } from '#lib/ip';

/** One WireGuard interface of a gateway: 8 × remote ordinal + lane. Its name is `ist<ordinal><lane>`. */
export type Slot = number;

/** MTUs above this one share their objects; no two of them are known to meet. */
const LARGEST = 9240;
const SLOTS = 64;
/** Where tunnels begin whose routes have an MTU of their own. */
const WITH_MTU = 10_048;

/** @param mtu that of the routes by it, a multiple of 16; absent: they have the device's */
export function tunnelNexthop(family: Family, slot: Slot, mtu?: number): number {
  return idOf(family, slot + (mtu === undefined ? 0 : WITH_MTU + SLOTS * Math.floor(bounded(mtu) / 16)));
}

export function slotOf(ordinal: number, lane: number): Slot {
  return 8 * ordinal + lane;
}

/** The interface that a {@link tunnelNexthop} leads into. */
export function slotOfNexthop(id: number): Slot {
  return ((id - NEXTHOP_BASE) % FAMILY_IDS) % SLOTS;
}

/** The MTU of the routes by a {@link tunnelNexthop}; undefined: that of the device. */
export function mtuOfNexthop(id: number): number | undefined {
  const offset = (id - NEXTHOP_BASE) % FAMILY_IDS;
  return offset < WITH_MTU ? undefined : 16 * Math.floor((offset - WITH_MTU) / SLOTS);
}

/** By the device between gateways. */
export function siblingNexthop(family: Family, ordinal: number, mtu: number): number {
  return idOf(family, ownWay(mtu) + ordinal);
}

/** A worker's way to one of its own gateways; without an MTU for what is routed by its source. */
export function gatewayNexthop(family: Family, ordinal: number, mtu?: number): number {
  return idOf(family, mtu === undefined ? 200 + ordinal : ownWay(mtu) + ordinal);
}

/** All siblings of a gateway: the standing detour. */
export function siblingGroup(family: Family, mtu: number): number {
  return idOf(family, ownWay(mtu) + 8);
}

/** Those siblings alone that can have a tunnel to a cluster, where some cannot. */
export function detourGroup(family: Family, index: number): number {
  return idOf(family, 3000 + index);
}

/** All that leads to a cluster: tunnels on a gateway, gateways on a worker. */
export function clusterGroup(family: Family, index: number): number {
  return idOf(family, 1000 + index);
}

/** To gateways of the own cluster: from a worker, or from a sibling. */
function ownWay(mtu: number): number {
  return 52_000 + 16 * bounded(mtu);
}

function bounded(mtu: number): number {
  return Math.min(mtu, LARGEST);
}

/** Ids that one family has; IPv4's begin at 4 times half as many, IPv6's at 6 times. */
const FAMILY_IDS = 200_000;

function idOf(family: Family, offset: number): number {
  return NEXTHOP_BASE + (family * FAMILY_IDS) / 2 + offset;
}
