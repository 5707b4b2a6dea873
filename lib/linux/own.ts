// What in a kernel is ours: by name, number or table, never by memory.
// This module is pure.

import {
  NEXTHOP_BASE,
  NEXTHOP_LAST,
  ROUTE_PROTOCOL,
  TABLE_FABRIC,
  TABLE_HERE,
  TABLE_SIBLING,
  TABLE_VIA,
} from '#lib/constants';

/**
 * `ist00` … `ist77` are tunnels, `ist-…` the others. Not the bare prefix: Istio's ambient mode makes `istioin` and
 * `istioout`.
 */
const DEVICE = /^ist(?:[0-7]{2}|-[a-z0-9]{1,11})$/;
const TUNNEL = /^ist[0-7]{2}$/;

export function isOurDevice(name: string): boolean {
  return DEVICE.test(name);
}

export function isTunnelDevice(name: string): boolean {
  return TUNNEL.test(name);
}

/** Tables in which only our routes may stand: a stranger's route there would lead packets past their tunnel. */
export const OUR_TABLES: readonly number[] = [
  TABLE_HERE,
  TABLE_FABRIC,
  TABLE_SIBLING,
  ...Array.from({ length: 8 }, (_, ordinal) => TABLE_VIA + ordinal),
];

export function isOurNexthop(id: number, protocol: number): boolean {
  return protocol === ROUTE_PROTOCOL && id >= NEXTHOP_BASE && id <= NEXTHOP_LAST;
}

/**
 * Never lowered, whoever raised it: others on the host may have come to need forwarding meanwhile. `accept_ra` with it:
 * a host that forwards heeds router advertisements at 2 only, and would lose its default route.
 */
export function isForwardingKey(key: string): boolean {
  return /^net\.(?:ipv4\.ip_forward|ipv[46]\.conf\..+\.forwarding|ipv6\.conf\..+\.accept_ra)$/.test(key);
}

/** A sysctl of one of our own devices goes with the device. */
export function isDeviceKey(key: string): boolean {
  const device = /^net\.ipv[46]\.(?:conf|neigh)\.(.+)\.[a-z0-9_]+$/.exec(key)?.[1];
  return device !== undefined && isOurDevice(device);
}

/** The same address in every kernel: made by itself on a device, and of no concern to us. */
export function isKernelLinkLocal(address: string, prefix: number): boolean {
  return prefix === 64 && address.startsWith('fe80:');
}
