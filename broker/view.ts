// What the broker's records say, after every check: the clusterset as one verified value.
// This module is pure.

import type { Address, Cidr, Cidr4, Cidr6 } from '#lib/ip';
import type { ClusterId } from '#lib/names';
import type { PublicKey } from '#lib/wireguard';

/** A gateway as its cluster's signed record describes it. */
export interface GatewayView {
  readonly ordinal: number;
  /** One key a lane. */
  readonly keys: readonly PublicKey[];
  /** Absent: it can only dial out. */
  readonly endpoint?: { readonly addresses: readonly Address[]; readonly port: number };
}

/** A member as its certificate describes it, with what it says of its gateways. */
export interface MemberView {
  readonly cluster: ClusterId;
  readonly index: number;
  readonly podCidrs: readonly Cidr[];
  readonly serviceCidrs: readonly Cidr[];
  /** Sorted by ordinal. */
  readonly gateways: readonly GatewayView[];
}

/** Everything that the records say. Unchanged members are the same object in the next view. */
export interface ClustersetView {
  readonly clusterset: string;
  readonly fabric: { readonly v4: Cidr4; readonly v6: Cidr6 };
  readonly members: readonly MemberView[];
  /** Revoked members, without gateways: no tunnel of theirs may stand, but their CIDRs must not leave in the clear. Gone once they have left, or another member holds their CIDRs. */
  readonly revoked: readonly MemberView[];
}
