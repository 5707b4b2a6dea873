// The nftables rules by which routers, switches and nodes of a lab lose packets.
// This module is pure.

import type { Pair } from '../addresses.ts';

/** Every table of a fault begins so, and nobody else's does. */
export const FAULT_TABLE = 'fault_';

/** Packets that a router forwards. */
export interface PathRule {
  readonly from: Pair;
  readonly to: Pair;
  /** `drop` says nothing; `reject` answers as a firewall does that is meant to be seen. */
  readonly verdict: 'drop' | 'reject';
  /** Of a hundred packets, so many, each by its own throw of dice. @default 100 */
  readonly percent?: number;
  /** IP packets larger than so many bytes. @default all */
  readonly above?: number;
  /** @default everything */
  readonly protocol?: 'udp';
}

/** One rule a family. Before the router's own, which may accept. */
export function pathTable(name: string, rules: readonly PathRule[]): string {
  return table('inet', name, 'forward', rules.flatMap(pathLines));
}

function pathLines(rule: PathRule): string[] {
  const rest = [
    rule.protocol === undefined ? '' : `meta l4proto ${rule.protocol}`,
    rule.above === undefined ? '' : `meta length > ${rule.above}`,
    rule.percent === undefined ? '' : `numgen random mod 100 < ${rule.percent}`,
    'counter',
    rule.verdict === 'drop' ? 'drop' : 'reject with icmpx admin-prohibited',
  ].filter((part) => part !== '');
  const { from, to } = rule;
  return [
    ...(from.v4 === undefined || to.v4 === undefined ? [] : [`ip saddr ${from.v4} ip daddr ${to.v4}`]),
    ...(from.v6 === undefined || to.v6 === undefined ? [] : [`ip6 saddr ${from.v6} ip6 daddr ${to.v6}`]),
  ].map((match) => [match, ...rest].join(' '));
}

/** A switch that forwards no frame between these ports and those, ARP included. */
export function switchTable(name: string, ports: readonly string[], others: readonly string[]): string {
  const pairs = ports.flatMap((a) => others.map((b) => [a, b] as const));
  const lines = pairs.flatMap(([a, b]) => [
    `iifname "${a}" oifname "${b}" counter drop`,
    `iifname "${b}" oifname "${a}" counter drop`,
  ]);
  return table('bridge', name, 'forward', lines);
}

/** A router that forwards nothing to or from the internet. */
export function uplinkTable(name: string): string {
  return table('inet', name, 'forward', ['iifname "wan" counter drop', 'oifname "wan" counter drop']);
}

/** A node that forwards nothing, as after `iptables -P FORWARD DROP`. */
export function forwardTable(name: string): string {
  return table('inet', name, 'forward', ['counter drop']);
}

/** Packets that the rules of a listed table have counted. */
export function packetsCounted(listing: string): number {
  const counts = [...listing.matchAll(/\bcounter packets (\d+)/g)];
  return counts.reduce((sum, [, packets]) => sum + Number(packets), 0);
}

function table(family: 'inet' | 'bridge', name: string, hook: string, lines: readonly string[]): string {
  return `create table ${family} ${name}
table ${family} ${name} {
  chain lossy { type filter hook ${hook} priority -250; policy accept;
${lines.map((line) => `    ${line}\n`).join('')}  }
}
`;
}
