// What every host holds, gateway or worker: its own addresses, forwarding, and the guard under all remote CIDRs.
// This module is pure.

import { condition } from '#lib/conditions';
import { ICMP_RATEMASK, METRIC_UNREACHABLE, NODE_DEVICE, TABLE_HERE } from '#lib/constants';
import type { Address, Cidr, Family } from '#lib/ip';
import { familyOf } from '#lib/ip';
import type { InterfaceAddress, Route } from '#lib/linux';
import { blockOf } from './fabric.ts';
import type { Piece } from './piece.ts';
import type { Standpoint } from './standpoint.ts';

/** Under every remote CIDR, from its first landing on: the kernel removes groups and routes with their last device. */
export function guards(cidrs: readonly Cidr[]): Route[] {
  return cidrs.map((destination) => ({
    kind: 'unreachable',
    destination,
    table: TABLE_HERE,
    metric: METRIC_UNREACHABLE,
  }));
}

/** What stands on every host. */
export function nodePieces(standpoint: Standpoint, responds: readonly Address[]): Piece[] {
  const { fabric, kernel } = standpoint;
  return [
    nodeDevice(standpoint, responds),
    { routes: guards(kernel.map((family) => blockOf(fabric, family))) },
    { sysctls: forwarding(standpoint) },
    { conditions: standpoint.families.flatMap((family) => sourceMissing(standpoint, family)) },
  ];
}

/** A fabric address as a device carries it: never chosen as a source by itself. */
export function fabricOn(device: string, address: Address): InterfaceAddress {
  return familyOf(address) === 4
    ? { device, address, prefix: 32, scope: 'link', deprecated: false }
    : { device, address, prefix: 128, scope: 'global', deprecated: true };
}

/** The addresses that the plan gives to the node itself, on a bridge without ports. */
function nodeDevice({ host, families, source }: Standpoint, responds: readonly Address[]): Piece {
  const given = families.flatMap((family): InterfaceAddress[] => {
    const from = source[family];
    if (from?.given !== true) return [];
    const prefix = family === 4 ? 32 : 128;
    return [{ device: NODE_DEVICE, address: from.address, prefix, scope: 'global', deprecated: false }];
  });
  const addresses = [...given, ...responds.map((address) => fabricOn(NODE_DEVICE, address))];
  if (addresses.length === 0) return {};
  return { links: [{ kind: 'bridge', name: NODE_DEVICE, mtu: host.uplink.mtu, group: 0 }], addresses };
}

const RATEMASK_KEYS = { 4: 'net.ipv4.icmp_ratemask', 6: 'net.ipv6.icmp.ratemask' } as const;

function forwarding({ host, families, kernel }: Standpoint): [string, string][] {
  const { device, advertised } = host.uplink;
  const keys: [string, string][] = [];
  // A forwarding host ignores router advertisements unless told so (2): before forwarding is turned on, else its routes are gone.
  if (advertised === true) keys.push([`net.ipv6.conf.${device}.accept_ra`, '2']);
  if (families.includes(4)) keys.push(['net.ipv4.ip_forward', '1']);
  if (families.includes(6)) keys.push(['net.ipv6.conf.all.forwarding', '1']);
  for (const family of kernel) {
    keys.push(
      [`net.ipv${family}.fib_multipath_hash_policy`, '1'],
      [RATEMASK_KEYS[family], ICMP_RATEMASK[family]],
    );
  }
  return keys;
}

function sourceMissing({ node, source }: Standpoint, family: Family): NonNullable<Piece['conditions']> {
  if (source[family] !== undefined) return [];
  const about = `${node.name} IPv${family}`;
  return [condition('IST_SOURCE_MISSING', about, { node: node.name, family: `IPv${family}` })];
}
