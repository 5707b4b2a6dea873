// The one nftables table of a host.
// This module is pure.

import { NFT_TABLE, TUNNEL_GROUP, WIREGUARD_PORTS } from '#lib/constants';
import type { Cidr, Family } from '#lib/ip';
import { addressCidr, familyOf, merge, sorted } from '#lib/ip';
import type { NftTable } from '#lib/linux';
import { chains, COUNTERS } from './chains.ts';
import type { Ground } from './chains.ts';
import { ofFamily } from './standpoint.ts';
import type { PerFamily, Standpoint } from './standpoint.ts';

/** Builds the table out of what all remotes have together. */
export type Ruleset = (far: readonly Cidr[]) => NftTable;

/** Fabric packets come by tunnels. */
export function gatewayRuleset(standpoint: Standpoint): Ruleset {
  const notFabric = `iifgroup != ${TUNNEL_GROUP}`;
  const { listenPort } = standpoint.own;
  const ports = [listenPort, listenPort + WIREGUARD_PORTS - 1] as const;
  const gateway = { ports, siblings: standpoint.gateways.length > 1 };
  return ruleset(standpoint, { notFabric: { 4: notFabric, 6: notFabric }, gateway });
}

/** Fabric packets come by the link to the gateways. */
export function workerRuleset(standpoint: Standpoint): Ruleset {
  const { way } = standpoint;
  return ruleset(standpoint, {
    notFabric: { 4: `iifname != "${way[4].device}"`, 6: `iifname != "${way[6].device}"` },
  });
}

function ruleset(standpoint: Standpoint, ground: Pick<Ground, 'notFabric' | 'gateway'>): Ruleset {
  const { fabric, host, families, way, source } = standpoint;
  const own = groups('own', (family) => ofFamily(standpoint.own.podCidrs, family));
  const here = groups('here', (family) => hereOf(standpoint, family));
  const fixed = { ...own.sets, ...here.sets, ...nodesOf(standpoint) };
  const body = [
    ...Object.keys({ ...fixed, far4: [], far6: [] }).map(declare),
    ...COUNTERS.map((name) => `counter ${name} { }`),
    ...chains({
      ...ground,
      fabric,
      own: own.match,
      here: here.match,
      uplink: host.uplink.device,
      encapsulated: families.filter((family) => way[family].kind === 'vxlan'),
      source: { 4: source[4]?.address, 6: source[6]?.address },
    }),
  ].join('\n');
  return (far) => ({
    name: NFT_TABLE,
    body,
    sets: { ...fixed, far4: elements(ofFamily(far, 4)), far6: elements(ofFamily(far, 6)) },
  });
}

/** CIDRs to compare addresses with: in the rules themselves where there is one, in a set where there are more or none. */
function groups(
  name: string,
  of: (family: Family) => readonly Cidr[],
): { readonly match: PerFamily<string>; readonly sets: NftTable['sets'] } {
  const all = { 4: elements(merge(of(4))), 6: elements(merge(of(6))) };
  const match = (family: Family): string => {
    const [only, ...others] = all[family];
    return only === undefined || others.length > 0 ? `@${name}${family}` : only;
  };
  const sets = ([4, 6] as const)
    .filter((family) => all[family].length !== 1)
    .map((family) => [`${name}${family}`, all[family]] as const);
  return { match: { 4: match(4), 6: match(6) }, sets: Object.fromEntries(sets) };
}

/** A host whose own address is its pods' (no pod network behind it) is where its flows end, too. */
function hereOf({ node, source }: Standpoint, family: Family): Cidr[] {
  const address = source[family]?.address;
  return [...ofFamily(node.podCidrs, family), ...(address === undefined ? [] : [addressCidr(address)])];
}

function nodesOf({ own }: Standpoint): NftTable['sets'] {
  const nodes = sorted(own.nodes.flatMap(({ addresses }) => addresses));
  return { nodes4: ofFamily(nodes, 4), nodes6: ofFamily(nodes, 6) };
}

/** All but nodes' are of prefixes. */
function declare(name: string): string {
  const type = name.endsWith('4') ? 'ipv4_addr' : 'ipv6_addr';
  return `set ${name} { type ${type};${name.startsWith('nodes') ? '' : ' flags interval;'} }`;
}

/** As nft prints them: a block of one address is that address. */
function elements(cidrs: readonly Cidr[]): string[] {
  return cidrs.map((cidr) => {
    const alone = familyOf(cidr) === 4 ? '/32' : '/128';
    return cidr.endsWith(alone) ? cidr.slice(0, -alone.length) : cidr;
  });
}
