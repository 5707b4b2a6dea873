// Every number that meets the outside: one place, each with its neighbours and the reason for its value.
// This module is pure.

/** WireGuard's first UDP port. Gateway i listens on base + 8·lane + remote ordinal. 51820 is WireGuard's customary port. */
export const WIREGUARD_BASE_PORT = 51820;
/** Ports that one gateway may use from its base on: 8 lanes × 8 remote ordinals. */
export const WIREGUARD_PORTS = 64;
/** UDP port of path probes: on fabric addresses inside tunnels, and between the nodes of one cluster. Below WireGuard's range so that both read as one block. */
export const PROBE_PORT = 51800;
/** UDP port on the same addresses where nobody ever listens: a kernel refuses it, which shows that it lives when its daemon does not answer. */
export const KNOCK_PORT = 51801;
/** VXLAN UDP port between nodes of one cluster. Not IANA's 4789 nor Linux's 8472: CNIs (flannel, Cilium, Calico) use those. */
export const VXLAN_PORT = 8473;
/** VXLAN network ids: workers' links, and gateways' sibling link. CNIs take 1 and 4096 by default. */
export const VNI_LINK = 473;
export const VNI_SIBLING = 474;

/** Route protocol number of everything we add. Not named in rt_protos (bird 12, babel 42, bgp 186, … are). */
export const ROUTE_PROTOCOL = 73;
/** Link group of tunnel devices, so that one nftables match covers all. 0 is every other device's. */
export const TUNNEL_GROUP = 73;
/** Every device that we make begins so. Linux allows 15 characters. */
export const DEVICE_PREFIX = 'ist';
/** Begins the MAC address of our VXLAN devices: locally administered, then four bytes from the node's own address. */
export const MAC_PREFIX = '02:73';
/** Stands on devices that would have no IPv4 address: without one, rp_filter is strict whatever is set. Link-local (RFC 3927), never on a wire. */
export const LOOSE_ADDRESS = '169.254.73.73';
/** VXLAN to sibling gateways. A device of its own so that "from a sibling" is one input interface. */
export const SIBLING_DEVICE = 'ist-sib';
/** VXLAN between a worker and its gateways, where they share no link. */
export const LINK_DEVICE = 'ist-link';
/** Port-less bridge that carries addresses which the plan gives to the node itself (a bridge exists in every kernel; dummy does not). */
export const NODE_DEVICE = 'ist-node';
/** The one nftables table (family inet). */
export const NFT_TABLE = 'isthmus';
/** The nftables table (family inet) of a failure that somebody drills: its elements expire, so that the kernel ends it by itself. */
export const DRILL_TABLE = 'isthmus-drill';

/** Routing tables: packets from here, from the fabric, from a sibling; VIA + j: "back through own gateway j" on workers. */
export const TABLE_HERE = 7301;
export const TABLE_FABRIC = 7302;
export const TABLE_SIBLING = 7303;
export const TABLE_VIA = 7310;
/** The kernel's own main table. */
export const TABLE_MAIN = 254;
/** Rule priorities, before main (32766) and after local (0). Cilium uses 9–110, Calico 99 and Tailscale 5210–5270. */
export const RULE_VIA = 300;
export const RULE_HERE = 301;
export const RULE_FABRIC = 302;
export const RULE_SIBLING = 303;
export const RULE_FABRIC_MAIN = 304;
export const RULE_FABRIC_NONE = 305;

/** Two bits of the packet mark say where a packet is from. kube-proxy uses 0x4000 and 0x8000, Cilium 0x0f00, Calico 0xffff0000 by default: see limits. */
export const MARK_MASK = 0x300000;
export const MARK_OUTER = 0x100000;
export const MARK_FABRIC = 0x200000;
export const MARK_SIBLING = 0x300000;

/** Nexthop ids: base + family·100000 + {8·j+l: tunnel, 200+j: gateway, 1000+index: group of a cluster, 3000+index: its group of siblings where some cannot reach it; for routes of MTU m 10048+64·⌊m/16⌋+8·j+l: tunnel, 52000+16·m+j: gateway or sibling, 52000+16·m+8: group of siblings}. */
export const NEXTHOP_BASE = 7_000_000;
export const NEXTHOP_LAST = 7_999_999;
/** Buckets of resilient groups: without a common factor, else a worker's hash repeats the gateway's and half of the tunnels stay empty. */
export const BUCKETS_GATEWAY = 127;
export const BUCKETS_WORKER = 128;
export const BUCKETS_SIBLING = 125;
/** Seconds after which an idle bucket may move to a returned member. */
export const BUCKET_IDLE_SECONDS = 60;

/** Metrics of the routes to a remote CIDR: by tunnels, by a sibling, by nothing. The kernel takes the least that still stands. */
export const METRIC_GROUP = 100;
export const METRIC_SIBLING = 200;
export const METRIC_UNREACHABLE = 4294967295;
/** Not …295 for a default route: `ip -6 route flush` spares such a default on purpose. */
export const METRIC_UNREACHABLE_DEFAULT = 4294967294;

/** Bytes that WireGuard adds: outer IP + UDP 8 + WireGuard 32. */
export const WIREGUARD_OVERHEAD = { 4: 60, 6: 80 } as const;
/** Bytes that VXLAN adds: outer IP + UDP 8 + VXLAN 8 + Ethernet 14. */
export const VXLAN_OVERHEAD = { 4: 50, 6: 70 } as const;

/** Seconds between keepalives of a gateway behind NAT: below the 30 s after which the strictest NATs forget a UDP flow. wg(8) advises 25. */
export const KEEPALIVE_SECONDS = 25;
/** Workers that answer transit probes, first by name: one may be down, another draining. Each costs a route a lane on every gateway. */
export const TRANSIT_RESPONDERS = 3;
/** Kinds of ICMP messages that the kernel sends at most once a second: its own defaults (6168 and 0-1,3-127) without destination-unreachable, so that each new connection to a cluster without a path fails at once, and each knock is answered. `icmp_msgs_per_sec` limits them all the same. */
export const ICMP_RATEMASK = { 4: '6160', 6: '0,3-127' } as const;
/** Smallest MTU that IPv6 allows (RFC 8200 §5). */
export const MIN_MTU_6 = 1280;

/** Gateways a cluster, lanes between two gateways: three bits each in a fabric address. */
export const MAX_GATEWAYS = 8;
export const MAX_LANES = 8;
/** Largest cluster index: ten bits of the IPv6 fabric prefix. */
export const MAX_INDEX = 1023;
/** Largest index with an IPv4 fabric address: eight bits of the IPv4 block. */
export const MAX_INDEX_4 = 255;
/** Default IPv4 fabric block: RFC 6598 shared space, which no pod network should use. */
export const FABRIC4_DEFAULT = '100.64.0.0/10';

/** Broker's client port. NATS' own is 4222; a host may already run NATS for other purposes, the port is configurable. */
export const BROKER_PORT = 4222;
/** Loopback ports of the daemons' /metrics, /healthz, /readyz, /state. */
export const GATEWAY_HTTP_PORT = 9473;
export const ROUTE_AGENT_HTTP_PORT = 9474;
