// The difference between a kernel and a plan, as a value.
// This module is pure.

import type { HeldForwarding, HeldLink, HeldNeighbour, HeldRoute, HeldRule } from './kernel-state.ts';
import type { InterfaceAddress, Link, Nexthop, NexthopGroup, NftTable, Route, Rule } from './state.ts';

/** What to do to one kind of thing. `W` is how it is wanted, `H` how it stands. */
export interface Diff<W, H = W> {
  readonly add: readonly W[];
  readonly change: readonly { readonly from: H; readonly to: W }[];
  readonly remove: readonly H[];
}

export interface SysctlChange {
  readonly key: string;
  /** Absent where the kernel does not have the key yet (it comes with a device). */
  readonly from?: string;
  readonly to: string;
  /** `restore` puts back what stood before us. */
  readonly why: 'wanted' | 'restore';
}

export type NftChange =
  /** The table is missing, differs, or was changed by hand: replaced as a whole, elements included. */
  | { readonly kind: 'replace'; readonly table: NftTable; readonly reason: 'missing' | 'plan' | 'damage' }
  | {
      readonly kind: 'elements';
      readonly name: string;
      readonly add: Readonly<Record<string, readonly string[]>>;
      readonly remove: Readonly<Record<string, readonly string[]>>;
    }
  | { readonly kind: 'delete'; readonly name: string };

export interface Changes {
  readonly links: Diff<Link, HeldLink>;
  readonly addresses: Diff<InterfaceAddress>;
  readonly neighbours: Diff<HeldNeighbour>;
  readonly forwarding: Diff<HeldForwarding>;
  readonly nexthops: Diff<Nexthop>;
  readonly groups: Diff<NexthopGroup>;
  readonly routes: Diff<Route, HeldRoute>;
  readonly rules: Diff<Rule, HeldRule>;
  readonly sysctls: readonly SysctlChange[];
  readonly nftables: NftChange | undefined;
}
