// The whole wanted network state of one host.
// This module is pure.

import type { Condition } from '#lib/conditions';
import type { Address, Cidr } from '#lib/ip';
import type { NetworkState } from '#lib/linux';
import type { PeerConfig, PublicKey } from '#lib/wireguard';
import type { TunnelId } from './tunnel-id.ts';

/** One WireGuard device: (remote ordinal, lane). The private key is named, not held: the executor looks it up. */
export interface DevicePlan {
  readonly name: string;
  readonly lane: number;
  readonly listenPort: number;
  readonly fwmark: number;
  /** In the fleet's order: by cluster id. */
  readonly peers: readonly PeerConfig[];
}

/** One tunnel of this gateway, for whoever probes it. */
export interface TunnelPlan {
  readonly id: TunnelId;
  readonly device: string;
  /** Whom it leads to: a tunnel with another peer is another tunnel, and nothing is known of it. */
  readonly peer: PublicKey;
  /** Fabric addresses of both ends, IPv6 first; same length, same families. */
  readonly local: readonly Address[];
  readonly remote: readonly Address[];
  /**
   * Largest packet that it carries if nothing on its way is narrower than this host's own line: the device's MTU, or less and
   * a multiple of 16. A larger one would be cut by this host itself where WireGuard lets it, and arrive.
   */
  readonly mtu: number;
}

/** A way to another node of the own cluster, for whoever probes it. */
export interface LinkPlan {
  readonly node: string;
  /** Of a gateway. */
  readonly ordinal?: number;
  /** Both ends as sockets take them: link-local ones with their device, `fe80::73:1%ist-link`. */
  readonly local: string;
  readonly remote: string;
}

export interface HostPlan {
  readonly network: NetworkState;
  /** Empty on workers. */
  readonly devices: readonly DevicePlan[];
  /** Empty on workers. */
  readonly tunnels: readonly TunnelPlan[];
  /** A worker's to its gateways; a gateway's to its workers and siblings. */
  readonly links: readonly LinkPlan[];
  /** Own fabric addresses on which this worker answers transit probes. */
  readonly echoes: readonly Address[];
  /** What the plan could not give, for the operator: condition code and the thing it is about. */
  readonly conditions: readonly Condition[];
  /** CIDRs of all other clusters, each with an unreachable route: what must never leave in the clear. Sorted. */
  readonly remoteCidrs: readonly Cidr[];
}
