// The network state of a host, as a value: what a plan wants and what a kernel holds are written in these same words.
// This module is pure.

import type { Address, Cidr, Family } from '#lib/ip';

/** A device of ours. WireGuard devices are made here; keys and peers are lib/wireguard's. */
export type Link =
  | { readonly kind: 'wireguard'; readonly name: string; readonly mtu: number; readonly group: number }
  | { readonly kind: 'bridge'; readonly name: string; readonly mtu: number; readonly group: number }
  | {
      readonly kind: 'vxlan';
      readonly name: string;
      readonly mtu: number;
      readonly group: number;
      readonly vni: number;
      readonly port: number;
      /** Outer source address. */
      readonly local: Address;
      /** Own MAC address, lower case. */
      readonly mac: string;
    };

export interface InterfaceAddress {
  readonly device: string;
  readonly address: Address;
  readonly prefix: number;
  readonly scope: 'global' | 'link';
  /** IPv6 only: preferred_lft 0, so that source selection never takes it by itself. */
  readonly deprecated: boolean;
}

/** A permanent neighbour on a VXLAN device, together with its forwarding entry: nothing can be claimed by ARP. */
export interface Neighbour {
  readonly device: string;
  readonly address: Address;
  readonly mac: string;
  /** Outer address that this MAC is reached by. */
  readonly outer: Address;
}

/** A nexthop object: by device alone, or by way of an address. */
export interface Nexthop {
  readonly id: number;
  readonly family: Family;
  readonly device: string;
  readonly via?: Address;
  readonly onlink?: boolean;
}

/** A group of nexthop objects; resilient with so many buckets where the kernel has it, else by hash threshold. */
export interface NexthopGroup {
  readonly id: number;
  readonly members: readonly number[];
  readonly buckets?: number;
}

export interface Route {
  readonly kind: 'unicast' | 'unreachable';
  readonly destination: Cidr;
  readonly table: number;
  /** 0 is the kernel's default (which IPv6 shows as 1024). */
  readonly metric: number;
  /** By nexthop object or group. */
  readonly nexthop?: number;
  /** By device (and gateway) directly. */
  readonly device?: string;
  readonly via?: Address;
  readonly onlink?: boolean;
  readonly source?: Address;
  readonly mtu?: number;
}

export interface Rule {
  readonly family: Family;
  readonly priority: number;
  readonly from?: Cidr;
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly action: { readonly lookup: number; readonly suppressPrefix?: number } | 'unreachable';
}

/** One nftables table of family inet. Rules are replaced as a whole; set elements are diffed. */
export interface NftTable {
  readonly name: string;
  /** The table's body without set elements, as nft reads it: set declarations, counters, chains. */
  readonly body: string;
  /** Elements by set name, each canonical as nft prints it, sorted. */
  readonly sets: Readonly<Record<string, readonly string[]>>;
}

/** The whole wanted state of one host. Sorted at construction, so equal states are equal text. */
export interface NetworkState {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  readonly neighbours: readonly Neighbour[];
  readonly nexthops: readonly Nexthop[];
  readonly groups: readonly NexthopGroup[];
  readonly routes: readonly Route[];
  readonly rules: readonly Rule[];
  /** Key (dots) → value. Previous values are kept on disk and restored on removal only if still ours. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly nftables: NftTable | undefined;
}

/** Nothing of ours: applying it removes everything that we can recognise. */
export const EMPTY_STATE: NetworkState = {
  links: [],
  addresses: [],
  neighbours: [],
  nexthops: [],
  groups: [],
  routes: [],
  rules: [],
  sysctls: {},
  nftables: undefined,
};
