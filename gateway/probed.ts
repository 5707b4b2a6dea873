// What a gateway's prober is told of tunnels, links and far gateways.
// This module is pure.

import type { ProbedPath } from '#host';
import { TRANSIT_RESPONDERS } from '#lib/constants';
import type { TransitSpec } from '#lib/health';
import { familyOf } from '#lib/ip';
import type { Family } from '#lib/ip';
import type { Ends } from '#lib/probe';
import type { PrivateKey } from '#lib/wireguard';
import { clusterOf, gatewayOf, laneOf } from '#topology';
import type { Fleet, Health, LinkPlan, TunnelPlan } from '#topology';

/** Neighbour of links to own gateways, which stand in for each other. */
export const SIBLINGS = 'siblings';
/** Neighbour of links to workers: what is wrong with one alone is not this gateway's. */
export const WORKERS = 'workers';
const IP = { 4: 'IPv4', 6: 'IPv6' } as const;

export function farEnd({ remote }: TunnelPlan, family: Family): TunnelPlan['remote'][number] | undefined {
  return remote.find((address) => familyOf(address) === family);
}

/** Whom it leads to, and from where: from another address or under another key it is another path. */
export function farOf({ id, peer, local, remote }: TunnelPlan, keys: readonly PrivateKey[]): string {
  return `${peer} ${local[0]} ${remote[0]} ${keys[laneOf(id)]?.publicKey}`;
}

export interface TunnelFacts {
  readonly keys: readonly PrivateKey[];
  readonly isProven: boolean;
  /** Largest packets that tunnels are known to carry. */
  readonly room?: Health['room'] | undefined;
}

/** None while there is no key for its lane: it stays silent until there is. */
export function tunnelPath(tunnel: TunnelPlan, { keys, isProven, room }: TunnelFacts): ProbedPath[] {
  const { id, peer, local, remote, mtu } = tunnel;
  const own = keys[laneOf(id)];
  const size = room?.get(id);
  if (own === undefined) return [];
  const ends = local.flatMap((address, at): Ends[] => {
    const far = remote[at];
    return far === undefined ? [] : [{ local: address, remote: far }];
  });
  return [
    {
      spec: {
        id,
        neighbour: clusterOf(id),
        far: farOf(tunnel, keys),
        ceiling: mtu,
        isProven,
        ...(size === undefined ? {} : { size }),
        isTunnel: true,
      },
      peer: { id, ends, secret: { own, peer } },
    },
  ];
}

export function linkPath(link: LinkPlan): ProbedPath {
  const { local, remote, ordinal } = link;
  const id = linkId(link);
  const far = `${local} ${remote}`;
  // Workers may be many, and judge their links themselves: tunnels keep their pace whatever these take.
  const whom = ordinal === undefined ? { neighbour: WORKERS, yields: true } : { neighbour: SIBLINGS };
  return { spec: { id, far, ...whom }, peer: { id, ends: [{ local, remote }] } };
}

/** What a link is called in events. No cluster's id has a space. */
export function linkId({ node }: LinkPlan): string {
  return `node ${node}`;
}

/** A far gateway in one family, and the tunnels through which the nodes behind it are asked. */
export interface Behind {
  readonly spec: TransitSpec;
  readonly tunnels: readonly TunnelPlan[];
}

/** Each remote gateway in each family that pods there have: it may forward the one and not the other. */
export function gatewaysBehind(
  tunnels: readonly TunnelPlan[],
  { remotes }: Pick<Fleet, 'remotes'>,
): readonly Behind[] {
  const byGateway = Map.groupBy(tunnels, ({ id }) => gatewayOf(id));
  const families = new Map(remotes.map(({ id, podCidrs }) => [String(id), new Set(podCidrs.map(familyOf))]));
  return [...byGateway].flatMap(([gateway, through]) => {
    const cluster = clusterOf(gateway);
    const known = [...(families.get(cluster) ?? [])].filter((family) =>
      through.some((tunnel) => farEnd(tunnel, family) !== undefined),
    );
    return known.map((family) => ({
      spec: {
        id: behindId(gateway, family),
        cluster: behindId(cluster, family),
        responders: TRANSIT_RESPONDERS,
      },
      tunnels: through,
    }));
  });
}

/** `west/1` → `west/1 IPv6` */
export function behindId(gateway: string, family: Family): string {
  return `${gateway} ${IP[family]}`;
}

/** The other way round. */
export function familyBehind(id: string): Family {
  return id.endsWith(IP[4]) ? 4 : 6;
}
