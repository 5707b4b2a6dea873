// How a plan is made of pieces: what stands whatever the remotes are, and what each remote adds.
// This module is pure.

import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import type { Address, Cidr } from '#lib/ip';
import { familyOf } from '#lib/ip';
import type { NexthopGroup, Route } from '#lib/linux';
import type { Admitted } from './claims.ts';
import type { Health } from './fleet.ts';
import type { Slot } from './nexthops.ts';
import type { Piece } from './piece.ts';
import type { Ruleset } from './ruleset.ts';
import type { Source, Standpoint } from './standpoint.ts';

/** What one remote adds to a host's plan. */
export interface View {
  /** Whatever the health of its tunnels. */
  readonly fixed: Piece;
  /** What its routing depends on, and nothing else: while all of it is the same, so is the routing. */
  seen(health: Health): readonly unknown[];
  routing(health: Health): Piece;
}

/** A gateway's or a worker's way of looking at the fleet. */
export interface Perspective {
  readonly standing: readonly Piece[];
  /** Own fabric addresses on which transit probes are answered. */
  readonly echoes: readonly Address[];
  /** What an interface needs once any remote has a peer on it. */
  readonly interface: (slot: Slot) => Piece;
  view(remote: Admitted): View;
  /** Given what all remotes have together. */
  readonly ruleset: Ruleset;
}

/** Pod CIDRs of a remote in families that pods here have: only they can be talked to with a source that the far end accepts. */
export function sharedCidrs({ families }: Standpoint, { routed }: Admitted): readonly Cidr[] {
  return routed.filter((cidr) => families.includes(familyOf(cidr)));
}

/** Routes to none of its CIDRs, for lack of a common family. */
export function unshared({ remote, routed }: Admitted, shared: readonly Cidr[]): Condition[] {
  if (routed.length === 0 || shared.length > 0) return [];
  return [condition('IST_FAMILY_UNSHARED', remote.id, { cluster: remote.id })];
}

/** Resilient where the kernel has it: replacing the group then moves only the lost member's flows. */
export function groupOf(
  { host }: Standpoint,
  id: number,
  members: readonly number[],
  buckets: number,
): NexthopGroup {
  return host.resilient ? { id, members, buckets } : { id, members };
}

/** A route's preferred source, where the node has one. */
export function sourced(source: Source | undefined): Pick<Route, 'source'> {
  return source === undefined ? {} : { source: source.address };
}
