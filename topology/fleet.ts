// What one cluster knows of the clusterset, as a value.
// This module is pure.

import type { TunnelId } from './tunnel-id.ts';
import type { Address, Cidr, Cidr4, Cidr6, Family } from '#lib/ip';
import type { ClusterId } from '#lib/names';
import type { PublicKey } from '#lib/wireguard';

/** The two blocks from which every fabric address follows. */
export interface FabricPrefixes {
  /** A /10. */
  readonly v4: Cidr4;
  /** A /48 derived from the clusterset id. */
  readonly v6: Cidr6;
}

/** One machine of the own cluster. Names are unique within the cluster. */
export interface Node {
  readonly name: string;
  readonly role: 'gateway' | 'worker';
  /** Gateways: 0–7, unique within the cluster. Workers: absent. */
  readonly ordinal?: number;
  /** Addresses on the link to the cluster's other nodes, at most one of each family. */
  readonly addresses: readonly Address[];
  /** Pod CIDRs of this node, inside the cluster's; empty where the network has none per node. */
  readonly podCidrs: readonly Cidr[];
  /** Gateways: where other clusters reach it. Absent: it can only dial out. */
  readonly endpoint?: GatewayEndpoint;
}

/** A gateway's address as seen from outside. */
export interface GatewayEndpoint {
  /** At most one of each family. */
  readonly addresses: readonly Address[];
  /** First UDP port of the gateway's block as seen from outside. */
  readonly port: number;
}

/** The own cluster. */
export interface OwnCluster {
  readonly id: ClusterId;
  /** 1–1023, from the membership certificate. */
  readonly index: number;
  readonly podCidrs: readonly Cidr[];
  readonly serviceCidrs: readonly Cidr[];
  /** Lanes of its gateways, 1–8. */
  readonly lanes: number;
  /** First UDP port that each gateway listens on (as its own host sees it). */
  readonly listenPort: number;
  /** How nodes reach each other with foreign addresses: on their shared link, or encapsulated. */
  readonly link: 'direct' | 'vxlan';
  /** Sorted by name. */
  readonly nodes: readonly Node[];
}

/** A gateway of another cluster, from that gateway's signed record. */
export interface RemoteGateway {
  readonly ordinal: number;
  /** One public key a lane: its length is the number of lanes. */
  readonly keys: readonly PublicKey[];
  readonly endpoint?: GatewayEndpoint;
}

/** Another cluster: certificate and gateway records together. */
export interface RemoteCluster {
  readonly id: ClusterId;
  readonly index: number;
  readonly podCidrs: readonly Cidr[];
  readonly serviceCidrs: readonly Cidr[];
  /** Sorted by ordinal. */
  readonly gateways: readonly RemoteGateway[];
}

export interface Fleet {
  readonly fabric: FabricPrefixes;
  readonly own: OwnCluster;
  /** Sorted by id; never contains the own cluster. Objects are kept between fleets while unchanged, so plans can reuse what follows from them. */
  readonly remotes: readonly RemoteCluster[];
}

/** What probes say of the ways from one host. */
export interface Health {
  /** Tunnels that carry packets now. Empty on workers. */
  readonly healthy: ReadonlySet<TunnelId>;
  /**
   * Bytes of the largest packet that is known to pass a tunnel, where that is less than the plan computes from the link's
   * MTU: clouds drop larger ones between each other without a word.
   */
  readonly room?: ReadonlyMap<TunnelId, number>;
  /**
   * Own gateways other than this host that answer, by ordinal, with the indexes of the clusters to which they have a
   * tunnel that carries packets. Absent: nobody has asked yet, and all count as able.
   */
  readonly gateways?: ReadonlyMap<number, ReadonlySet<number>>;
}

/** What the plan needs to know of the machine it is for, read once by the daemon. */
export interface Host extends Health {
  /** Name of a node of the own cluster. */
  readonly node: string;
  /** Device, and MTU in bytes, of the link to the cluster's other nodes and the internet. */
  readonly uplink: {
    readonly device: string;
    readonly mtu: number;
    /** IPv6 routes or addresses come from router advertisements (accept_ra is 1): forwarding alone would end them. */
    readonly advertised?: boolean;
  };
  /**
   * Families that the kernel has.
   * @default [4, 6]
   */
  readonly families?: readonly Family[];
  /** The kernel has resilient nexthop groups. */
  readonly resilient: boolean;
  /** Addresses that stand on the host already, so that the plan gives none twice; those on our own devices are not among them. */
  readonly addresses: readonly Address[];
}
