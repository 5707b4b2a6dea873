// The chains of a host's nftables table: nothing is believed for where it stands.
// This module is pure.

import {
  KNOCK_PORT,
  LINK_DEVICE,
  MARK_FABRIC,
  MARK_MASK,
  MARK_OUTER,
  MARK_SIBLING,
  PROBE_PORT,
  SIBLING_DEVICE,
  TUNNEL_GROUP,
  VXLAN_PORT,
} from '#lib/constants';
import type { Address, Family } from '#lib/ip';
import { blockOf } from './fabric.ts';
import type { FabricPrefixes } from './fleet.ts';
import type { PerFamily } from './standpoint.ts';

/** What the chains have to know of the host. */
export interface Ground {
  readonly fabric: FabricPrefixes;
  /** The cluster's pods and this node's, as nft compares an address with them: a prefix, or a set's name. */
  readonly own: PerFamily<string>;
  readonly here: PerFamily<string>;
  /** Match of the interfaces that fabric packets may not come in by. */
  readonly notFabric: PerFamily<string>;
  readonly uplink: string;
  /** Families whose packets with foreign addresses are encapsulated on the cluster's link. */
  readonly encapsulated: readonly Family[];
  /** Absent on workers: they have neither tunnels nor siblings. */
  readonly gateway?: {
    /** First and last own WireGuard port. */
    readonly ports: readonly [number, number];
    /** Whether there are any. */
    readonly siblings: boolean;
  };
  readonly source: PerFamily<Address | undefined>;
}

export const COUNTERS = [
  'bad_link',
  'bad_vxlan',
  'bad_fabric_in',
  'bad_fabric_fwd',
  'bad_source',
  'bad_dest',
  'outer_toobig',
] as const;

const IP = { 4: 'ip', 6: 'ip6' } as const;
const UNREACHABLE = {
  4: 'icmp type destination-unreachable',
  6: 'icmpv6 type destination-unreachable',
} as const;
const FROM_TUNNEL = `iifgroup ${TUNNEL_GROUP}`;
const TO_6 = 'meta nfproto ipv6 goto';
/** MARK_FABRIC and MARK_SIBLING have this bit, MARK_OUTER has not. */
const MARK_CAME = MARK_FABRIC & MARK_SIBLING;

/**
 * Every packet of the host passes here, so the order is by cost: an address is compared with a prefix five times as
 * fast as it is looked up in a set of prefixes, and none is looked up before what is cheap has failed to decide.
 */
export function chains(ground: Ground): string[] {
  const { gateway } = ground;
  return [
    ...raw(ground),
    ...input(ground),
    ...forward(ground),
    chain('probes', [
      `udp dport { ${PROBE_PORT}, ${KNOCK_PORT} } accept`,
      `udp sport ${PROBE_PORT} accept`,
      'meta l4proto { icmp, icmpv6 } accept',
    ]),
    // Kernel WireGuard sets no DF on outer packets: then the path would cut them, and a full-size probe would pass.
    ...(gateway === undefined
      ? []
      : [base('output', 'filter hook output priority mangle', [`${OUTER} ip frag-off set 0x4000`])]),
    // Takes the binding before any masquerade at 100.
    base('keep', 'nat hook postrouting priority srcnat - 1', keep(ground)),
  ];
}

const OUTER = `meta mark & ${hex(MARK_MASK)} == ${hex(MARK_OUTER)}`;
const FROM_SIBLING = `meta mark & ${hex(MARK_MASK)} == ${hex(MARK_SIBLING)}`;

/** Where a packet came from is said here, once, for the routing rules; and which flows only half pass this host. */
function raw(ground: Ground): string[] {
  const { gateway } = ground;
  const sibling = `iifname "${SIBLING_DEVICE}" ${setMark(MARK_SIBLING)}`;
  return [
    base('raw', 'filter hook prerouting priority raw', [
      ...(gateway === undefined ? [] : [`${FROM_TUNNEL} goto tunnel`]),
      ...(gateway?.siblings === true ? [sibling] : []),
      `${TO_6} raw6`,
      ...untracked(ground, 4),
    ]),
    chain('raw6', untracked(ground, 6)),
    // Probes and their echoes keep their source whatever masquerade others have for all that leaves.
    base(
      'own',
      'filter hook output priority raw',
      both((ip, family) => [`${ip} saddr ${blockOf(ground.fabric, family)} notrack`]),
    ),
    ...(gateway === undefined ? [] : tunnel(ground)),
    ...both((ip, family) => {
      const block = blockOf(ground.fabric, family);
      // Nobody but the fabric is spoken to from a fabric address.
      return [
        chain(`fabric${family}`, [`${ip} daddr != ${block} ${drop('bad_fabric_fwd')}`, 'notrack accept']),
      ];
    }),
  ];
}

/** Half of a flow may pass here, and kube-proxy drops what conntrack then calls invalid. This node's own is tracked: it sees both halves. */
function untracked({ fabric, own, here }: Ground, family: Family): string[] {
  const ip = IP[family];
  const passes = (mine: string, theirs: string): string =>
    `${ip} ${mine} ${own[family]} ${ip} ${mine} != ${here[family]} ${ip} ${theirs} @far${family} notrack accept`;
  return [
    passes('saddr', 'daddr'),
    passes('daddr', 'saddr'),
    `${ip} saddr ${blockOf(fabric, family)} goto fabric${family}`,
  ];
}

/**
 * A tunnel leads to pods, and from the fabric to the fabric: neither to other clusters nor to the node's other addresses
 * (kubelet, ssh). Here and not in input: there a reply to a translated flow already carries the LAN address that it
 * began with. Whom the source belongs to, WireGuard's allowed IPs have said.
 */
function tunnel({ fabric, own, here }: Ground): string[] {
  const rules = (family: Family): string[] => {
    const [ip, block] = [IP[family], blockOf(fabric, family)];
    const passing = `${ip} daddr ${own[family]} ${ip} daddr != ${here[family]} ${ip} saddr != ${block}`;
    return [
      `${passing} notrack accept`,
      `${ip} saddr ${block} goto fabric${family}`,
      `${ip} daddr ${own[family]} accept`,
      drop('bad_dest'),
    ];
  };
  return [
    chain('tunnel', [setMark(MARK_FABRIC), `${TO_6} tunnel6`, ...rules(4)]),
    chain('tunnel6', rules(6)),
  ];
}

/** What is for this host itself: encapsulated packets and probes from own nodes only, from a sibling nothing but probes. */
function input({ fabric, notFabric, gateway }: Ground): string[] {
  return [
    base('input', 'filter hook input priority filter - 10', [
      ...both((ip, family) => [`${ip} daddr ${blockOf(fabric, family)} goto answer${family}`]),
      ...(gateway?.siblings === true ? [`${FROM_SIBLING} goto sibling`] : []),
      `udp dport ${VXLAN_PORT} goto vxlan`,
      `udp dport ${PROBE_PORT} goto links`,
      ...(gateway === undefined ? [] : tooBig(gateway.ports)),
    ]),
    // A fabric address is for probes, and for those that came by the fabric.
    ...both((_, family) => [
      chain(`answer${family}`, [
        // A far kernel that refuses a probe proves its tunnel; a refusal that this host makes itself (a REJECT) proves nothing.
        `iifname "lo" ${UNREACHABLE[family]} ${drop('bad_fabric_in')}`,
        'iifname "lo" accept',
        `${notFabric[family]} ${drop('bad_fabric_in')}`,
        'jump probes',
        drop('bad_fabric_in'),
      ]),
    ]),
    ...(gateway?.siblings === true ? [sibling()] : []),
    // Of the own cluster's nodes: those on our devices have been judged with what they came in.
    chain('links', [
      `iifname { "lo", "${LINK_DEVICE}" } accept`,
      ...both((ip, family) => [`${ip} saddr != @nodes${family} ${drop('bad_link')}`]),
    ]),
    chain(
      'vxlan',
      both((ip, family) => [`${ip} saddr != @nodes${family} ${drop('bad_vxlan')}`]),
    ),
  ];
}

/** It probes, and its kernel may refuse our probes: all else from a sibling is for other clusters. */
function sibling(): string {
  return chain('sibling', [
    `udp dport { ${PROBE_PORT}, ${KNOCK_PORT} } accept`,
    `${UNREACHABLE[6]} accept`,
    drop('bad_dest'),
  ]);
}

/** No "too big" about own tunnels' outer packets: were it believed, the kernel would cut them from then on, and full-size probes would lie. */
function tooBig([first, last]: readonly [number, number]): string[] {
  const range = `${first}-${last}`;
  // Offsets of the quoted packet's protocol and source port, in bits from the ICMP header on.
  return [
    `icmp type destination-unreachable icmp code frag-needed @th,136,8 17 @th,224,16 ${range} ${drop('outer_toobig')}`,
    `icmpv6 type packet-too-big @th,112,8 17 @th,384,16 ${range} ${drop('outer_toobig')}`,
  ];
}

function forward(ground: Ground): string[] {
  const { fabric, gateway } = ground;
  return [
    base('forward', 'filter hook forward priority filter - 10', [
      // It is routed now. VXLAN looks its outer packet's route up with the inner packet's mark: cleared before that.
      ...(gateway === undefined ? [] : [`meta mark & ${hex(MARK_CAME)} != 0 ${setMark(0)}`]),
      `${TO_6} forward6`,
      ...forwarded(ground, 4),
    ]),
    chain('forward6', forwarded(ground, 6)),
    ...(gateway === undefined
      ? []
      : both((ip, family) => [chain(`transit${family}`, transit(ip, blockOf(fabric, family)))])),
  ];
}

/** Who may send to other clusters. The other direction is WireGuard's: its allowed IPs hold each cluster to its own sources. */
function forwarded({ fabric, own, uplink, encapsulated, gateway }: Ground, family: Family): string[] {
  const [ip, far, bare] = [IP[family], `@far${family}`, `iifname "${uplink}"`];
  return [
    // Where far packets are encapsulated, none has business on the bare link.
    ...(encapsulated.includes(family)
      ? [
          `${bare} ${ip} saddr ${far} ${drop('bad_source')}`,
          `${bare} ${ip} daddr ${far} ${drop('bad_source')}`,
        ]
      : []),
    `${ip} daddr ${own[family]} accept`,
    // Behind a worker there is no fabric.
    `${ip} daddr ${blockOf(fabric, family)} ${gateway === undefined ? drop('bad_fabric_fwd') : `goto transit${family}`}`,
    `${ip} saddr != ${own[family]} ${ip} daddr ${far} ${drop('bad_source')}`,
    `tcp flags & (syn | rst) == syn ${ip} daddr ${far} tcp option maxseg size set rt mtu`,
  ];
}

/** Fabric packets pass as transit probes only: from a tunnel to a worker, or back. */
function transit(ip: string, block: string): string[] {
  const end = drop('bad_fabric_fwd');
  return [
    `${ip} saddr != ${block} ${end}`,
    `iifgroup != ${TUNNEL_GROUP} oifgroup != ${TUNNEL_GROUP} ${end}`,
    'jump probes',
    end,
  ];
}

/**
 * Pods keep their address whatever masquerade comes after. A host-network process chose its source before a service
 * address was translated: it gets the address that the far end accepts.
 */
function keep({ own, source }: Ground): string[] {
  return [
    ...both((ip, family) => [
      `${ip} saddr ${own[family]} ${ip} daddr @far${family} snat ${ip} to ${ip} saddr`,
    ]),
    ...both((ip, family) => {
      const address = source[family];
      return address === undefined ? [] : [`${ip} daddr @far${family} snat ${ip} to ${address}`];
    }),
  ];
}

function both(rules: (ip: 'ip' | 'ip6', family: Family) => string[]): string[] {
  return [...rules('ip', 4), ...rules('ip6', 6)];
}

function drop(counter: (typeof COUNTERS)[number]): string {
  return `counter name ${counter} drop`;
}

/** Sets our two bits and leaves the others alone. */
function setMark(value: number): string {
  const others = hex(~MARK_MASK >>> 0);
  return `meta mark set meta mark and ${others}${value === 0 ? '' : ` or ${hex(value)}`}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function base(name: string, hook: string, rules: readonly string[]): string {
  return chain(name, [`type ${hook};`, ...rules]);
}

function chain(name: string, lines: readonly string[]): string {
  return [`chain ${name} {`, ...lines.map((line) => `  ${line}`), '}'].join('\n');
}
