// The chains of a host's nftables table: nothing is believed for where it stands.
// This module is pure.

import {
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
  /** Match of the interfaces that fabric packets may not come in by. */
  readonly notFabric: PerFamily<string>;
  readonly uplink: string;
  /** Families whose packets with foreign addresses are encapsulated on the cluster's link. */
  readonly encapsulated: readonly Family[];
  /** First and last own WireGuard port; absent on workers. */
  readonly ports?: readonly [number, number];
  readonly source: PerFamily<Address | undefined>;
}

export const COUNTERS = [
  'bad_vxlan',
  'bad_fabric_in',
  'bad_fabric_fwd',
  'bad_source',
  'bad_dest',
  'outer_toobig',
  'untracked',
] as const;

const IP = { 4: 'ip', 6: 'ip6' } as const;
const UNREACHABLE = {
  4: 'icmp type destination-unreachable',
  6: 'icmpv6 type destination-unreachable',
} as const;
const FROM_TUNNEL = `iifgroup ${TUNNEL_GROUP}`;

export function chains(ground: Ground): string[] {
  return [
    chain('raw', 'filter hook prerouting priority raw', [
      ...marks(),
      ...destinations(ground),
      ...outer(ground),
      ...untracked(ground),
    ]),
    chain('probes', undefined, [
      `udp dport ${PROBE_PORT} accept`,
      `udp sport ${PROBE_PORT} accept`,
      'meta l4proto { icmp, icmpv6 } accept',
    ]),
    chain('input', 'filter hook input priority filter - 10', input(ground)),
    chain('forward', 'filter hook forward priority filter - 10', forward(ground)),
    // Kernel WireGuard sets no DF on outer packets: then the path would cut them, and a full-size probe would pass.
    chain('output', 'filter hook output priority mangle', [
      `${marked(MARK_OUTER)} ip version 4 ip frag-off set 0x4000`,
    ]),
    // VXLAN looks its outer packet's route up with the inner packet's mark: cleared before that.
    chain('post', 'filter hook postrouting priority mangle', [
      `${marked(MARK_FABRIC, MARK_SIBLING)} ${setMark(0)}`,
    ]),
    // Takes the binding before any masquerade at 100.
    chain('keep', 'nat hook postrouting priority srcnat - 1', keep(ground)),
  ];
}

/** Where a packet came from, said once, for the routing rules. */
function marks(): string[] {
  return [`${FROM_TUNNEL} ${setMark(MARK_FABRIC)}`, `iifname "${SIBLING_DEVICE}" ${setMark(MARK_SIBLING)}`];
}

/**
 * A tunnel leads to pods and fabric only: neither to other clusters nor to the node's other addresses (kubelet, ssh).
 * Here and not in input: there a reply to a translated flow already carries the LAN address that it began with.
 */
function destinations({ fabric }: Ground): string[] {
  return both((ip, family) => [
    `${FROM_TUNNEL} ${ip} daddr != @own${family} ${ip} daddr != ${blockOf(fabric, family)} ${drop('bad_dest')}`,
  ]);
}

/**
 * Encapsulated packets from own nodes only. And no "too big" about own tunnels' outer packets: were it believed, the
 * kernel would cut them from then on, and full-size probes would lie.
 */
function outer({ ports }: Ground): string[] {
  const vxlan = both((ip, family) => [
    `udp dport ${VXLAN_PORT} fib daddr type local ${ip} saddr != @nodes${family} ${drop('bad_vxlan')}`,
  ]);
  if (ports === undefined) return vxlan;
  const range = ports.join('-');
  // Offsets of the quoted packet's protocol and source port, in bits from the ICMP header on.
  return [
    ...vxlan,
    `icmp type destination-unreachable icmp code frag-needed @th,136,8 17 @th,224,16 ${range} ${drop('outer_toobig')}`,
    `icmpv6 type packet-too-big @th,112,8 17 @th,384,16 ${range} ${drop('outer_toobig')}`,
  ];
}

/** Half of a flow may pass here, and kube-proxy drops what conntrack then calls invalid. This node's own is tracked: it sees both halves. */
function untracked({ fabric }: Ground): string[] {
  return both((ip, family) => [
    `${ip} saddr ${blockOf(fabric, family)} notrack`,
    `${ip} saddr @far${family} ${ip} daddr @own${family} ${ip} daddr != @here${family} counter name untracked notrack`,
    `${ip} saddr @own${family} ${ip} daddr @far${family} ${ip} saddr != @here${family} counter name untracked notrack`,
  ]);
}

/** A fabric address is for probes, and for those that came by the fabric. On the sibling link nothing is for us. */
function input({ fabric, notFabric }: Ground): string[] {
  return [
    // A far kernel that refuses a probe proves its tunnel; a refusal that this host makes itself (a REJECT) proves nothing.
    ...both((ip, family) => [
      `iifname "lo" ${ip} daddr ${blockOf(fabric, family)} ${UNREACHABLE[family]} ${drop('bad_fabric_in')}`,
    ]),
    'iifname "lo" accept',
    ...both((ip, family) => {
      const toFabric = `${ip} daddr ${blockOf(fabric, family)}`;
      return [
        `${toFabric} ${notFabric[family]} ${drop('bad_fabric_in')}`,
        `${toFabric} jump probes`,
        `${toFabric} ${drop('bad_fabric_in')}`,
      ];
    }),
    `iifname "${SIBLING_DEVICE}" ${drop('bad_dest')}`,
  ];
}

function forward({ fabric, uplink, encapsulated }: Ground): string[] {
  return [
    // Where far packets are encapsulated, none has business on the bare link.
    ...encapsulated.flatMap((family) => [
      `iifname "${uplink}" ${IP[family]} saddr @far${family} ${drop('bad_source')}`,
      `iifname "${uplink}" ${IP[family]} daddr @far${family} ${drop('bad_source')}`,
    ]),
    // The other direction is WireGuard's: its allowed IPs hold each cluster to its own sources.
    ...both((ip, family) => [`${ip} daddr @far${family} ${ip} saddr != @own${family} ${drop('bad_source')}`]),
    ...both((ip, family) => transit(ip, blockOf(fabric, family))),
    ...both((ip, family) => [
      `${ip} daddr @far${family} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu`,
    ]),
  ];
}

/** Fabric packets pass as transit probes only: from a tunnel to a worker, or back. */
function transit(ip: string, block: string): string[] {
  return [
    `${ip} daddr ${block} ${ip} saddr != ${block} ${drop('bad_fabric_fwd')}`,
    `${ip} daddr ${block} iifgroup != ${TUNNEL_GROUP} oifgroup != ${TUNNEL_GROUP} ${drop('bad_fabric_fwd')}`,
    `${ip} saddr ${block} ${ip} daddr ${block} jump probes`,
    `${ip} saddr ${block} ${drop('bad_fabric_fwd')}`,
  ];
}

/**
 * Pods keep their address whatever masquerade comes after. A host-network process chose its source before a service
 * address was translated: it gets the address that the far end accepts.
 */
function keep({ source }: Ground): string[] {
  return [
    ...both((ip, family) => [
      `${ip} saddr @own${family} ${ip} daddr @far${family} snat ${ip} to ${ip} saddr`,
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

function marked(...values: readonly number[]): string {
  const [first, ...rest] = values.map(hex);
  return `meta mark & ${hex(MARK_MASK)} == ${rest.length === 0 ? first : `{ ${[first, ...rest].join(', ')} }`}`;
}

/** Sets our two bits and leaves the others alone. */
function setMark(value: number): string {
  const others = hex(~MARK_MASK >>> 0);
  return `meta mark set meta mark and ${others}${value === 0 ? '' : ` or ${hex(value)}`}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function chain(name: string, hook: string | undefined, rules: readonly string[]): string {
  const lines = hook === undefined ? rules : [`type ${hook};`, ...rules];
  return [`chain ${name} {`, ...lines.map((line) => `  ${line}`), '}'].join('\n');
}
