// The text that makes a fresh namespace into its place: sysctls, `ip -batch` lines, an nftables ruleset.
// This module is pure.

import {
  both,
  BROKER_LINE,
  lanAddress,
  lanNetwork,
  linkLocal,
  nodePods,
  podAddress,
  routerAddress,
  sitePods,
  uplink,
  type Pair,
} from './addresses.ts';
import { flowCap } from './flow-cap.ts';
import type { LabNode, LabSite, Layout, Place } from './layout.ts';
import { routerRules } from './router-rules.ts';

export interface PlaceText {
  /** Paths below /proc/sys/net, as a shell's patterns → values; written in this order, absent ones are skipped. */
  readonly sysctls: readonly (readonly [string, string])[];
  /** Lines for `ip -batch`. */
  readonly ip: readonly string[];
  /** For `nft -f`; may be empty. */
  readonly nft: string;
  /** Lines for `tc -batch`. */
  readonly tc?: readonly string[];
}

type Sysctls = PlaceText['sysctls'];

/** Addresses are usable at once. */
const QUICK: Sysctls = [
  ['ipv6/conf/*/accept_dad', '0'],
  ['ipv6/conf/default/accept_ra', '0'],
];
const FORWARDING: Sysctls = [
  ['ipv4/ip_forward', '1'],
  ['ipv6/conf/all/forwarding', '1'],
  // Where the host has br_netfilter, frames on our switches would pass the routers' rules.
  ['bridge/bridge-nf-call-iptables', '0'],
  ['bridge/bridge-nf-call-ip6tables', '0'],
];
/** Strict, as many distributions set it: what has to live with loose checking must say so itself. */
const STRICT: Sysctls = [['ipv4/conf/*/rp_filter', '1']];

export function placeText(layout: Layout, place: Place): PlaceText {
  const site = layout.sites.find((each) => each.name === place.site);
  if (site === undefined) return place.kind === 'broker' ? brokerText() : internetText(layout);
  if (place.kind === 'router') return routerText(site);
  for (const node of site.nodes) {
    if (node.place === place.name) return nodeText(site, node);
    const at = node.pods.findIndex((pod) => pod.place === place.name);
    if (at >= 0) return podText(site, node, at);
  }
  throw new RangeError(`Cannot build "${place.name}": the layout does not hold it`);
}

function internetText(layout: Layout): PlaceText {
  const ip = ['link set lo up', 'link set broker up', ...give('broker', BROKER_LINE.internet, 30, 64)];
  for (const site of layout.sites) {
    const line = uplink(site.plan);
    ip.push(`link set ${site.name} up`, ...give(site.name, line.internet, 30, 64));
    if (!site.plan.translated) ip.push(...via(lanNetwork(site.plan), line.router));
  }
  return {
    sysctls: [...QUICK, ...FORWARDING],
    ip,
    ...flowCap(
      layout.scenario.internet.flowMbps,
      layout.sites.map((site) => site.name),
    ),
  };
}

function brokerText(): PlaceText {
  return {
    sysctls: QUICK,
    ip: [
      'link set lo up',
      'link set eth0 up',
      ...give('eth0', BROKER_LINE.broker, 30, 64),
      ...defaults(BROKER_LINE.internet),
    ],
    nft: '',
  };
}

function routerText(site: LabSite): PlaceText {
  const line = uplink(site.plan);
  return {
    sysctls: [...QUICK, ...FORWARDING],
    ip: [
      'link set lo up',
      'link add name lan type bridge',
      ...site.nodes.map((node) => `link set ${node.name} master lan up`),
      'link set lan up',
      ...give('lan', routerAddress(site.plan), 24, 64),
      'link set wan up',
      ...give('wan', line.router, 30, 64),
      ...defaults(line.internet),
    ],
    nft: routerRules(site),
  };
}

function nodeText(site: LabSite, node: LabNode): PlaceText {
  const self = podAddress(site.plan, node.number, 1);
  return {
    sysctls: [...QUICK, ...FORWARDING, ...STRICT],
    ip: [
      'link set lo up',
      'link set eth0 up',
      ...give('eth0', node.addresses, 24, 64),
      `addr add ${linkLocal(node.number)}/64 dev eth0 nodad`,
      ...defaults(routerAddress(site.plan)),
      ...site.nodes.filter((other) => other !== node).flatMap((other) => toPodsOf(site, other)),
      ...node.pods.flatMap((pod) => [
        `link set ${pod.name} up`,
        ...give(pod.name, self, 32, 128),
        ...both(pod.addresses).map((address) => `route add ${address} dev ${pod.name}`),
      ]),
    ],
    nft: site.scenario.kubeProxy ? kubeRules(site, node) : '',
  };
}

function podText(site: LabSite, node: LabNode, at: number): PlaceText {
  const self = podAddress(site.plan, node.number, 1);
  return {
    sysctls: QUICK,
    ip: [
      'link set lo up',
      'link set eth0 up',
      ...give('eth0', podAddress(site.plan, node.number, at + 2), 32, 128),
      ...both(self).map((address) => `route add ${address} dev eth0`),
      ...defaults(self),
    ],
    nft: '',
  };
}

/** As kindnet does: a static route to every other node's pods over the link that all nodes share, whatever families the link has. */
function toPodsOf(site: LabSite, other: LabNode): string[] {
  const cidrs = nodePods(site.plan, other.number);
  const next = lanAddress(site.plan, other.number);
  const hop = (address: string | undefined): string =>
    `via ${address ?? `inet6 ${linkLocal(other.number)}`} dev eth0`;
  return [
    ...(cidrs.v4 === undefined ? [] : [`route add ${cidrs.v4} ${hop(next.v4)}`]),
    ...(cidrs.v6 === undefined ? [] : [`route add ${cidrs.v6} ${hop(next.v6)}`]),
  ];
}

/** What a Kubernetes node has already: kube-proxy's drop of INVALID, and the CNI's masquerade of what leaves the cluster. */
function kubeRules(site: LabSite, node: LabNode): string {
  const own = nodePods(site.plan, node.number);
  const all = sitePods(site.plan);
  return `table inet kube {
  chain forward { type filter hook forward priority filter; policy accept; ct state invalid counter drop; }
  chain post { type nat hook postrouting priority srcnat; policy accept;
    ${own.v4 === undefined ? '' : `ip saddr ${own.v4} ip daddr != ${all.v4} counter masquerade`}
    ${own.v6 === undefined ? '' : `ip6 saddr ${own.v6} ip6 daddr != ${all.v6} counter masquerade`}
  }
}
`;
}

function give(device: string, pair: Pair, prefix4: number, prefix6: number): string[] {
  return [
    ...(pair.v4 === undefined ? [] : [`addr add ${pair.v4}/${prefix4} dev ${device}`]),
    ...(pair.v6 === undefined ? [] : [`addr add ${pair.v6}/${prefix6} dev ${device} nodad`]),
  ];
}

function via(networks: Pair, hops: Pair): string[] {
  return [
    ...(networks.v4 === undefined ? [] : [`route add ${networks.v4} via ${hops.v4}`]),
    ...(networks.v6 === undefined ? [] : [`route add ${networks.v6} via ${hops.v6}`]),
  ];
}

function defaults(hops: Pair): string[] {
  return both(hops).map((hop) => `route add default via ${hop}`);
}
