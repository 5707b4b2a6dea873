// Fabric addresses: one for each (ordinal, lane, cluster, node), known to everybody without being told.
// This module is pure.

import { MAX_INDEX_4 } from '#lib/constants';
import type { Address, Cidr, Family } from '#lib/ip';
import { addressAt, cidrOf, familyOf } from '#lib/ip';
import type { FabricPrefixes } from './fleet.ts';

/** Where a fabric address leads: through the tunnel of this ordinal and lane to a node of the cluster with this index. */
export interface Spot {
  readonly ordinal: number;
  readonly lane: number;
  readonly index: number;
  /** 0 is the gateway itself, n its n-th transit responder. */
  readonly node: number;
}

/**
 * Bits below the fabric prefix, highest first: ordinal 3, lane 3, index, node. Ordinal and lane stand first so that one
 * route per interface covers all clusters, and one rule per gateway all of its lanes.
 */
const LAYOUT = {
  4: { prefix: 10, index: 8, node: 8 },
  6: { prefix: 48, index: 10, node: 64 },
} as const;

/** IPv6 first: it is the family that every index has. */
const FAMILIES: readonly Family[] = [6, 4];

/** Undefined for IPv4 above index 255: the IPv4 block has eight bits for it. */
export function fabricAddress(fabric: FabricPrefixes, family: Family, spot: Spot): Address | undefined {
  if (family === 4 && spot.index > MAX_INDEX_4) return undefined;
  const { index, node } = LAYOUT[family];
  const high = (BigInt(spot.ordinal * 8 + spot.lane) << BigInt(index)) | BigInt(spot.index);
  return addressAt(blockOf(fabric, family), (high << BigInt(node)) | BigInt(spot.node));
}

/** The families in which two clusters have fabric addresses, IPv6 first. */
export function fabricFamilies(...indexes: readonly number[]): readonly Family[] {
  return FAMILIES.filter((family) => family === 6 || indexes.every((index) => index <= MAX_INDEX_4));
}

/** All addresses of the block. */
export function blockOf(fabric: FabricPrefixes, family: Family): Cidr {
  return family === 4 ? fabric.v4 : fabric.v6;
}

/** What is behind one gateway of every cluster: /13 or /51. */
export function ordinalPrefix(fabric: FabricPrefixes, family: Family, ordinal: number): Cidr {
  return prefixAt(fabric, family, { ordinal, lane: 0 }, 3);
}

/** What one interface leads to, in every cluster: /16 or /54. */
export function lanePrefix(
  fabric: FabricPrefixes,
  family: Family,
  spot: Pick<Spot, 'ordinal' | 'lane'>,
): Cidr {
  return prefixAt(fabric, family, spot, 6);
}

/** What one peer answers for: its own address and those of its transit responders, /24 or /64. */
export function peerPrefix(gateway: Address): Cidr {
  const { prefix, index } = LAYOUT[familyOf(gateway)];
  return cidrOf(gateway, prefix + 6 + index);
}

function prefixAt(
  fabric: FabricPrefixes,
  family: Family,
  { ordinal, lane }: Pick<Spot, 'ordinal' | 'lane'>,
  bits: number,
): Cidr {
  const { prefix, index, node } = LAYOUT[family];
  const first = BigInt(ordinal * 8 + lane) << BigInt(index + node);
  return cidrOf(addressAt(blockOf(fabric, family), first), prefix + bits);
}
