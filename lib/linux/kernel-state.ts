// What a kernel holds that is ours: the read model.
// This module is pure.

import type { Address, Cidr, Family } from '#lib/ip';
import type { InterfaceAddress, Link, Nexthop, NexthopGroup, Rule } from './state.ts';

/** A device of ours as it stands. */
export type HeldLink = Link & {
  readonly up: boolean;
  /** A TUN device: WireGuard in a process. */
  readonly userspace: boolean;
};

/** A permanent neighbour on one of our devices. */
export interface HeldNeighbour {
  readonly device: string;
  readonly address: Address;
  readonly mac: string;
}

/** A static entry of a VXLAN device's forwarding database. */
export interface HeldForwarding {
  readonly device: string;
  readonly mac: string;
  readonly outer: Address;
}

export type HeldNexthop = Nexthop & { readonly ours: boolean };

export type HeldGroup = NexthopGroup & {
  readonly ours: boolean;
  /** Hand-made weights, timers and the like: anything that a plan never wants. */
  readonly foreign: string;
};

/** A route with our protocol number, or anybody's in one of our tables. */
export interface HeldRoute {
  readonly family: Family;
  readonly kind: string;
  readonly destination: Cidr;
  readonly table: number;
  /** As the kernel shows it: an IPv6 route of metric 0 has 1024. */
  readonly metric: number;
  readonly protocol: number;
  readonly nexthop?: number;
  readonly device?: string;
  readonly via?: Address;
  readonly onlink?: boolean;
  readonly source?: Address;
  readonly mtu?: number;
  readonly tos?: number;
  /** Attributes that a plan never wants, as text; empty for a route as we make it. */
  readonly foreign: string;
}

/** A rule with our protocol number. */
export type HeldRule = Rule & {
  /** Selectors that a plan never wants, as text. */
  readonly foreign: string;
};

/** Our nftables table as it stands. */
export interface HeldTable {
  readonly name: string;
  /** What the seal says: hash of the body that was wanted, hash of the listing that it gave. */
  readonly seal: { readonly body: string; readonly listing: string } | undefined;
  /** Hash of the kernel's listing now, without handles, counts and elements. */
  readonly listing: string;
  readonly sets: Readonly<Record<string, readonly string[]>>;
}

/** Everything in a kernel that is ours or stands where only ours may stand. */
export interface KernelState {
  readonly links: readonly HeldLink[];
  readonly addresses: readonly InterfaceAddress[];
  readonly neighbours: readonly HeldNeighbour[];
  readonly forwarding: readonly HeldForwarding[];
  readonly nexthops: readonly HeldNexthop[];
  readonly groups: readonly HeldGroup[];
  readonly routes: readonly HeldRoute[];
  readonly rules: readonly HeldRule[];
  /** Present values of the keys that were asked for; a key that this kernel lacks is absent. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly nftables: HeldTable | undefined;
}
