// How nodes of one cluster hand each other packets: next hops on the shared link, or over VXLAN.
// This module is pure.

import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import {
  LINK_DEVICE,
  LOOSE_ADDRESS,
  MAC_PREFIX,
  SIBLING_DEVICE,
  VNI_LINK,
  VNI_SIBLING,
  VXLAN_OVERHEAD,
  VXLAN_PORT,
} from '#lib/constants';
import type { Address, Family } from '#lib/ip';
import { addressAt, isAddress4, offsetOf, parseAddress, parseCidr } from '#lib/ip';
import type { InterfaceAddress, Neighbour } from '#lib/linux';
import type { Node } from './fleet.ts';
import type { Piece } from './piece.ts';
import { addressOf } from './standpoint.ts';
import type { Standpoint } from './standpoint.ts';

/** A next hop as routes and nexthop objects want it. */
export interface Hop {
  readonly device: string;
  readonly via: Address;
  readonly onlink?: true;
}

const ALL4 = parseCidr('0.0.0.0/0');
/** Link-local names of nodes on our VXLAN devices. */
const NAMES6 = parseCidr('fe80::73:0:0/96');
/** For nodes without IPv4: reserved space (RFC 1112 §4), so no network's address; only ever a neighbour's name, never on a wire. */
const NAMES4 = parseCidr('240.0.0.0/4');

/** The way to another node of the own cluster, as its family's way is. */
export function hopTo(standpoint: Standpoint, family: Family, node: Node): Hop | undefined {
  const { kind, device } = standpoint.way[family];
  if (kind === 'vxlan') return encapsulatedHop(standpoint, device, family, node);
  const via = addressOf(node, family);
  return via === undefined ? undefined : { device, via };
}

/** The way to a sibling gateway: always encapsulated, so that "from a sibling" is one input interface. */
export function siblingHop(standpoint: Standpoint, family: Family, node: Node): Hop | undefined {
  return encapsulatedHop(standpoint, SIBLING_DEVICE, family, node);
}

/** The device between gateways and the nodes behind them. */
export function linkDevice(standpoint: Standpoint, peers: readonly Node[]): Piece {
  return vxlan(standpoint, { device: LINK_DEVICE, vni: VNI_LINK, peers });
}

/** The device between gateways. */
export function siblingDevice(standpoint: Standpoint, peers: readonly Node[]): Piece {
  return vxlan(standpoint, { device: SIBLING_DEVICE, vni: VNI_SIBLING, peers });
}

/** MTU of VXLAN devices. */
export function vxlanMtu({ host, outer }: Standpoint): number {
  return host.uplink.mtu - VXLAN_OVERHEAD[outer];
}

interface Vxlan {
  readonly device: string;
  readonly vni: number;
  readonly peers: readonly Node[];
}

function vxlan(standpoint: Standpoint, { device, vni, peers }: Vxlan): Piece {
  const { node, outer } = standpoint;
  const local = addressOf(node, outer);
  if (peers.length === 0) return {};
  if (local === undefined) return { conditions: [lacksAddress(node, outer)] };
  const mtu = vxlanMtu(standpoint);
  const mac = macOf(local);
  return {
    links: [{ kind: 'vxlan', name: device, mtu, group: 0, vni, port: VXLAN_PORT, local, mac }],
    addresses: [
      { device, address: parseAddress(LOOSE_ADDRESS), prefix: 32, scope: 'link', deprecated: false },
      ...ownName(standpoint, device),
    ],
    neighbours: peers.flatMap((peer) => neighboursOf(standpoint, device, peer)),
    sysctls: [[`net.ipv4.conf.${device}.rp_filter`, '2']],
    conditions: peers
      .filter((peer) => addressOf(peer, outer) === undefined)
      .map((peer) => lacksAddress(peer, outer)),
  };
}

/** By which others probe it there. */
function ownName(standpoint: Standpoint, device: string): InterfaceAddress[] {
  const address = standpoint.kernel.includes(6) ? nameOn(standpoint, standpoint.node, 6) : undefined;
  return address === undefined ? [] : [{ device, address, prefix: 128, scope: 'link', deprecated: false }];
}

/** In every family that the kernel has: probes go by link-local names, which are IPv6, also where all pods are IPv4. */
function neighboursOf({ kernel, outer }: Standpoint, device: string, node: Node): Neighbour[] {
  const address = addressOf(node, outer);
  if (address === undefined) return [];
  const mac = macOf(address);
  return kernel.map((family) => ({ device, address: nameOf(node, address, family), mac, outer: address }));
}

function encapsulatedHop(
  { node: self, outer }: Standpoint,
  device: string,
  family: Family,
  node: Node,
): Hop | undefined {
  const via = nameOn({ outer }, node, family);
  if (via === undefined || addressOf(self, outer) === undefined) return undefined;
  return family === 4 ? { device, via, onlink: true } : { device, via };
}

/** What a node is called on our VXLAN devices; undefined where it cannot be reached by them. */
export function nameOn(
  { outer }: Pick<Standpoint, 'outer'>,
  node: Node,
  family: Family,
): Address | undefined {
  const address = addressOf(node, outer);
  return address && nameOf(node, address, family);
}

/**
 * What a node is called on a VXLAN device. Names follow from the node's address alone, so that hosts which read the
 * site at different times agree. Its IPv4 address can be its name there: neighbours belong to a device, and `onlink`
 * spares the kernel the question. IPv6 refuses that for an address that another device leads to, hence link-local.
 */
function nameOf(node: Node, outer: Address, family: Family): Address {
  if (family === 6) return addressAt(NAMES6, BigInt(numberOf(outer)));
  return addressOf(node, 4) ?? addressAt(NAMES4, BigInt(numberOf(outer) % 2 ** 28));
}

function macOf(outer: Address): string {
  const digits = numberOf(outer).toString(16).padStart(8, '0');
  return [MAC_PREFIX, ...(digits.match(/../g) ?? [])].join(':');
}

/** 32 bits: an IPv4 address itself, of IPv6 a hash (FNV-1a), since subnets may differ in any part. */
function numberOf(outer: Address): number {
  if (isAddress4(outer)) return Number(offsetOf(ALL4, outer));
  let hash = 0x811c9dc5;
  for (const character of outer) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return hash >>> 0;
}

function lacksAddress(node: Node, family: Family): Condition {
  return condition('IST_LINK_ADDRESS', node.name, { node: node.name, family: `IPv${family}` });
}
