// What follows from the own cluster and one of its hosts, before any other cluster is looked at.
// This module is pure.

import { TRANSIT_RESPONDERS, VXLAN_OVERHEAD, LINK_DEVICE } from '#lib/constants';
import type { Address, Cidr, Family } from '#lib/ip';
import { addressAt, addressCidr, contains, familyOf, firstAddress, sorted } from '#lib/ip';
import type { FabricPrefixes, Fleet, Health, Host, Node, OwnCluster } from './fleet.ts';

export type PerFamily<T> = { readonly [F in Family]: T };

export type GatewayNode = Node & { readonly ordinal: number };

/** How nodes of the own cluster hand each other packets with foreign addresses. */
export interface Way {
  readonly kind: 'direct' | 'vxlan';
  readonly device: string;
  readonly mtu: number;
}

/** A worker that answers transit probes, and its number in fabric addresses. */
export interface Responder {
  readonly node: Node;
  readonly number: number;
}

/** The address by which host-network processes are seen, and whether it is the plan that puts it there. */
export interface Source {
  readonly address: Address;
  readonly given: boolean;
}

/** One host's place in its cluster. */
export interface Standpoint {
  readonly fabric: FabricPrefixes;
  readonly own: OwnCluster;
  readonly node: Node;
  readonly host: Omit<Host, keyof Health>;
  /** Families that the kernel has. */
  readonly kernel: readonly Family[];
  /** Families that pods of this cluster have, and the kernel has. */
  readonly families: readonly Family[];
  /** Sorted by ordinal. */
  readonly gateways: readonly GatewayNode[];
  readonly responders: readonly Responder[];
  /** Family of outer VXLAN packets: one for the cluster, since a device has one local address. */
  readonly outer: Family;
  readonly way: PerFamily<Way>;
  readonly source: PerFamily<Source | undefined>;
}

/** @throws {RangeError} when the host is no node of the own cluster */
export function standpointOf({ fabric, own }: Pick<Fleet, 'fabric' | 'own'>, host: Host): Standpoint {
  const node = own.nodes.find(({ name }) => name === host.node);
  if (node === undefined) {
    throw new RangeError(`Cannot plan for "${host.node}": cluster "${own.id}" has no node of that name`);
  }
  const kernel = host.families ?? [4, 6];
  const gateways = own.nodes.filter(isGateway).sort((a, b) => a.ordinal - b.ordinal);
  const outer = own.nodes.every((each) => addressOf(each, 4)) ? 4 : outerWithout4(own.nodes);
  return {
    fabric,
    own,
    node,
    host,
    kernel,
    families: kernel.filter((family) => own.podCidrs.some((cidr) => familyOf(cidr) === family)),
    gateways,
    responders: respondersOf(own.nodes),
    outer,
    way: { 4: wayOf(4, own, host, outer), 6: wayOf(6, own, host, outer) },
    source: { 4: sourceOf(4, own, node, host), 6: sourceOf(6, own, node, host) },
  };
}

export function isGateway(node: Node): node is GatewayNode {
  return node.role === 'gateway' && node.ordinal !== undefined;
}

/** The node's address on the cluster's link. */
export function addressOf(node: Node, family: Family): Address | undefined {
  return node.addresses.find((address) => familyOf(address) === family);
}

/** The CIDRs of one family. */
export function ofFamily<T extends Address | Cidr>(values: readonly T[], family: Family): readonly T[] {
  return values.filter((value) => familyOf(value) === family);
}

function respondersOf(nodes: readonly Node[]): Responder[] {
  const workers = nodes.filter(({ role }) => role === 'worker');
  return workers
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, TRANSIT_RESPONDERS)
    .map((node, at) => ({ node, number: at + 1 }));
}

/** IPv6 where every node has it, else IPv4 for as many as have that. */
function outerWithout4(nodes: readonly Node[]): Family {
  return nodes.every((node) => addressOf(node, 6)) ? 6 : 4;
}

/**
 * Direct needs an address of the pods' own family on every node: an IPv6 packet cannot be handed to an IPv4 neighbour.
 * Decided for the cluster, not for the pair, so that both ends expect the packet on the same device.
 */
function wayOf(family: Family, own: OwnCluster, { uplink }: Host, outer: Family): Way {
  if (own.link === 'direct' && own.nodes.every((node) => addressOf(node, family))) {
    return { kind: 'direct', device: uplink.device, mtu: uplink.mtu };
  }
  return { kind: 'vxlan', device: LINK_DEVICE, mtu: uplink.mtu - VXLAN_OVERHEAD[outer] };
}

/**
 * One that stands on the host already, in the node's own pod CIDR or else in the cluster's; else the pod CIDR's address
 * number one. That address is the node's by custom: bridge CNIs and host-local IPAM keep it for the node's end of the
 * bridge and never give it to a pod, so it may come to stand on a bridge later, and nothing changes for anybody. Zero
 * would be the anycast address of IPv6 (RFC 4291 §2.6.1), and any other may be a pod's.
 */
function sourceOf(family: Family, own: OwnCluster, node: Node, host: Host): Source | undefined {
  const candidates = sorted(ofFamily(host.addresses, family));
  for (const cidrs of [node.podCidrs, own.podCidrs]) {
    const address = candidates.find((each) => cidrs.some((cidr) => contains(cidr, each)));
    if (address !== undefined) return { address, given: false };
  }
  const [cidr] = ofFamily(node.podCidrs, family);
  return cidr === undefined ? undefined : { address: nodesAddress(cidr), given: true };
}

function nodesAddress(cidr: Cidr): Address {
  const first = firstAddress(cidr);
  return addressCidr(first) === cidr ? first : addressAt(cidr, 1n);
}
