// What an operator is shown: rows of plain values, made of the same values that the hosts act on.
// This module is pure.

import { TABLE_FABRIC, TABLE_HERE, TABLE_SIBLING, TABLE_VIA } from '#lib/constants';
import { compare } from '#lib/ip';
import type { Route } from '#lib/linux';
import type { Fleet, GatewayEndpoint } from './fleet.ts';
import type { HostPlan } from './host-plan.ts';
import { authority } from './render.ts';
import { isGateway } from './standpoint.ts';

/** Field names are column titles, in order. */
export interface ClusterRow {
  readonly cluster: string;
  readonly index: number;
  /** The cluster that this host belongs to. */
  readonly here: boolean;
  readonly podCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly gateways: number;
}

export interface GatewayRow {
  readonly cluster: string;
  readonly ordinal: number;
  /** Known of the own cluster only. */
  readonly node?: string;
  readonly lanes: number;
  /** Empty: it can only dial out. */
  readonly endpoints: readonly string[];
}

export interface TunnelRow {
  readonly tunnel: string;
  readonly device: string;
  readonly lane: number;
  readonly port: number;
  /** Absent: the other side dials. */
  readonly endpoint?: string;
  readonly local: readonly string[];
  readonly remote: readonly string[];
}

export interface RouteRow {
  readonly from: string;
  readonly destination: string;
  readonly to: readonly string[];
  readonly source?: string;
  readonly metric?: number;
  readonly mtu?: number;
}

/** All clusters by id, the own one among them. */
export function clustersTable({ own, remotes }: Fleet): ClusterRow[] {
  const rows = [
    { ...own, here: true, gateways: own.nodes.filter(isGateway) },
    ...remotes.map((remote) => ({ ...remote, here: false })),
  ];
  return rows
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ id, index, here, podCidrs, serviceCidrs, gateways }) => ({
      cluster: id,
      index,
      here,
      podCidrs,
      serviceCidrs,
      gateways: gateways.length,
    }));
}

/** All gateways, by cluster and ordinal. */
export function gatewaysTable({ own, remotes }: Fleet): GatewayRow[] {
  const here = own.nodes.filter(isGateway).map(({ name, ordinal, endpoint }) => ({
    cluster: own.id,
    ordinal,
    node: name,
    lanes: own.lanes,
    endpoints: endpointsOf(endpoint),
  }));
  const there = remotes.flatMap(({ id, gateways }) =>
    gateways.map(({ ordinal, keys, endpoint }) => ({
      cluster: id,
      ordinal,
      lanes: keys.length,
      endpoints: endpointsOf(endpoint),
    })),
  );
  return [...here, ...there].sort((a, b) =>
    a.cluster === b.cluster ? a.ordinal - b.ordinal : a.cluster < b.cluster ? -1 : 1,
  );
}

/** The tunnels of one gateway; none of a worker. */
export function tunnelsTable({ tunnels, devices }: HostPlan): TunnelRow[] {
  const rows = new Map<string, Pick<TunnelRow, 'lane' | 'port' | 'endpoint'>>();
  for (const { name, lane, listenPort: port, peers } of devices) {
    for (const { endpoint, publicKey } of peers) {
      const at = endpoint === undefined ? {} : { endpoint: authority(endpoint.address, endpoint.port) };
      rows.set(`${name} ${publicKey}`, { lane, port, ...at });
    }
  }
  return tunnels.flatMap(({ id, device, peer, local, remote }) => {
    const row = rows.get(`${device} ${peer}`);
    return row === undefined ? [] : [{ tunnel: id, device, ...row, local, remote }];
  });
}

/** Every route that the plan adds, by where a packet is from. */
export function routesTable({ network }: HostPlan): RouteRow[] {
  const hops = new Map<number, readonly string[]>();
  for (const { id, device, via } of network.nexthops) hops.set(id, [hopText(device, via)]);
  for (const { id, members } of network.groups)
    hops.set(
      id,
      members.flatMap((member) => hops.get(member) ?? []),
    );
  return [...network.routes]
    .sort((a, b) => a.table - b.table || compare(a.destination, b.destination) || a.metric - b.metric)
    .map((route) => ({
      from: tableText(route.table),
      destination: route.destination,
      to: targetOf(route, hops),
      ...(route.source === undefined ? {} : { source: route.source }),
      ...(route.metric === 0 ? {} : { metric: route.metric }),
      ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
    }));
}

export function endpointsOf(endpoint: GatewayEndpoint | undefined): string[] {
  return endpoint?.addresses.map((address) => authority(address, endpoint.port)) ?? [];
}

function targetOf(route: Route, hops: ReadonlyMap<number, readonly string[]>): readonly string[] {
  if (route.kind === 'unreachable') return ['unreachable'];
  if (route.nexthop !== undefined) return hops.get(route.nexthop) ?? [];
  return [hopText(route.device ?? '', route.via)];
}

function hopText(device: string, via: string | undefined): string {
  return via === undefined ? device : `${via} on ${device}`;
}

function tableText(table: number): string {
  switch (table) {
    case TABLE_HERE:
      return 'here';
    case TABLE_FABRIC:
      return 'tunnel';
    case TABLE_SIBLING:
      return 'sibling';
    default:
      return `transit by ${table - TABLE_VIA}`;
  }
}
