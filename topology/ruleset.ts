// The one nftables table of a host.
// This module is pure.

import { NFT_TABLE, TUNNEL_GROUP, WIREGUARD_PORTS } from '#lib/constants';
import type { Cidr, Family } from '#lib/ip';
import { addressCidr, familyOf, merge, sorted } from '#lib/ip';
import type { NftTable } from '#lib/linux';
import { chains, COUNTERS } from './chains.ts';
import type { Ground } from './chains.ts';
import { ofFamily } from './standpoint.ts';
import type { Standpoint } from './standpoint.ts';

/** Builds the table out of what all remotes have together. */
export type Ruleset = (far: readonly Cidr[]) => NftTable;

/** Fabric packets come by tunnels. */
export function gatewayRuleset(standpoint: Standpoint): Ruleset {
  const notFabric = `iifgroup != ${TUNNEL_GROUP}`;
  const { listenPort } = standpoint.own;
  const ports = [listenPort, listenPort + WIREGUARD_PORTS - 1] as const;
  return ruleset(standpoint, { notFabric: { 4: notFabric, 6: notFabric }, ports });
}

/** Fabric packets come by the link to the gateways. */
export function workerRuleset(standpoint: Standpoint): Ruleset {
  const { way } = standpoint;
  return ruleset(standpoint, {
    notFabric: { 4: `iifname != "${way[4].device}"`, 6: `iifname != "${way[6].device}"` },
  });
}

function ruleset(standpoint: Standpoint, ground: Pick<Ground, 'notFabric' | 'ports'>): Ruleset {
  const { fabric, host, families, way, source } = standpoint;
  const body = [
    ...[4, 6].flatMap((family) => [
      ...['own', 'far', 'here'].map((name) => declare(`${name}${family}`, family, true)),
      declare(`nodes${family}`, family, false),
    ]),
    ...COUNTERS.map((name) => `counter ${name} { }`),
    ...chains({
      ...ground,
      fabric,
      uplink: host.uplink.device,
      encapsulated: families.filter((family) => way[family].kind === 'vxlan'),
      source: { 4: source[4]?.address, 6: source[6]?.address },
    }),
  ].join('\n');
  const fixed = localSets(standpoint);
  return (far) => ({
    name: NFT_TABLE,
    body,
    sets: { ...fixed, far4: elements(ofFamily(far, 4)), far6: elements(ofFamily(far, 6)) },
  });
}

/** Sets that know nothing of other clusters. */
function localSets({ own, node, source }: Standpoint): NftTable['sets'] {
  const here = (family: Family): Cidr[] => {
    const address = source[family]?.address;
    // A host whose own address is its pods' (no pod network behind it) is where its flows end, too.
    return [...ofFamily(node.podCidrs, family), ...(address === undefined ? [] : [addressCidr(address)])];
  };
  const nodes = sorted(own.nodes.flatMap(({ addresses }) => addresses));
  return {
    own4: elements(merge(ofFamily(own.podCidrs, 4))),
    own6: elements(merge(ofFamily(own.podCidrs, 6))),
    here4: elements(merge(here(4))),
    here6: elements(merge(here(6))),
    nodes4: ofFamily(nodes, 4),
    nodes6: ofFamily(nodes, 6),
  };
}

function declare(name: string, family: number, interval: boolean): string {
  const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  return `set ${name} { type ${type};${interval ? ' flags interval;' : ''} }`;
}

/** As nft prints them: a block of one address is that address. */
function elements(cidrs: readonly Cidr[]): string[] {
  return cidrs.map((cidr) => {
    const alone = familyOf(cidr) === 4 ? '/32' : '/128';
    return cidr.endsWith(alone) ? cidr.slice(0, -alone.length) : cidr;
  });
}
