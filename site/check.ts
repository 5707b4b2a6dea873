// What must hold between the fields of a site, beyond each field's own shape.
// This module is pure.

import { PROBE_PORT, VXLAN_PORT, WIREGUARD_PORTS, MAX_GATEWAYS } from '#lib/constants';
import { compare, contains, familyOf, firstOverlap, overlaps } from '#lib/ip';
import type { Address, Cidr } from '#lib/ip';
import type { SiteInput } from './schema.ts';

type NodeInput = SiteInput['nodes'][number];

/** What is wrong, and with which field. */
export interface Fault {
  readonly path: readonly (string | number)[];
  readonly reason: string;
}

/** Every fault of a site, in the order of its fields. */
export function* siteFaults(site: SiteInput): Iterable<Fault> {
  yield* overlapFaults(site.podCIDRs, ['podCIDRs']);
  yield* overlapFaults(site.serviceCIDRs, ['serviceCIDRs']);
  const crossing = firstOverlap(site.serviceCIDRs, site.podCIDRs);
  if (crossing !== undefined) {
    const reason = `${crossing[0]} overlaps the pod CIDR ${crossing[1]}`;
    yield { path: ['serviceCIDRs', site.serviceCIDRs.indexOf(crossing[0])], reason };
  }
  yield* portFaults(site.listenPort, ['listenPort']);
  for (const [at, node] of site.nodes.entries()) yield* nodeFaults(site, node, at);
  yield* betweenNodes(site);
}

function* nodeFaults(site: SiteInput, node: NodeInput, at: number): Iterable<Fault> {
  const path = ['nodes', at] as const;
  yield* roleFaults(node, path);
  yield* familyFaults(node.addresses, [...path, 'addresses']);
  for (const [each, cidr] of node.podCIDRs.entries()) {
    if (!site.podCIDRs.some((outer) => contains(outer, cidr))) {
      const reason = `${cidr} is outside the site's pod CIDRs ${site.podCIDRs.join(', ')}`;
      yield { path: [...path, 'podCIDRs', each], reason };
    }
  }
  for (const [each, address] of node.addresses.entries()) {
    const inside = site.serviceCIDRs.find((cidr) => contains(cidr, address));
    if (inside !== undefined) {
      yield { path: [...path, 'addresses', each], reason: `${address} is inside the service CIDR ${inside}` };
    }
  }
  if (node.endpoint === undefined) return;
  yield* familyFaults(node.endpoint.addresses, [...path, 'endpoint', 'addresses']);
  const port = node.endpoint.port ?? site.listenPort;
  if (port + WIREGUARD_PORTS - 1 > 65_535) {
    yield { path: [...path, 'endpoint', 'port'], reason: tooHigh(port) };
  }
}

function* roleFaults(node: NodeInput, path: readonly (string | number)[]): Iterable<Fault> {
  if (node.role === 'gateway' && node.ordinal === undefined) {
    yield {
      path: [...path, 'ordinal'],
      reason: `it is missing; wanted a number from 0 to ${MAX_GATEWAYS - 1}`,
    };
  }
  if (node.role === 'worker' && node.ordinal !== undefined) {
    yield { path: [...path, 'ordinal'], reason: 'a worker has none; only gateways are numbered' };
  }
  if (node.role === 'worker' && node.endpoint !== undefined) {
    yield {
      path: [...path, 'endpoint'],
      reason: 'a worker has none; only gateways are reached from outside',
    };
  }
}

function* familyFaults(addresses: readonly Address[], path: readonly (string | number)[]): Iterable<Fault> {
  for (const [at, address] of addresses.entries()) {
    const earlier = addresses.findIndex((other) => familyOf(other) === familyOf(address));
    if (earlier < at) {
      const reason = `${address} is the second IPv${familyOf(address)} address; wanted one of each family`;
      yield { path: [...path, at], reason };
    }
  }
}

function* portFaults(port: number, path: readonly string[]): Iterable<Fault> {
  if (port + WIREGUARD_PORTS - 1 > 65_535) yield { path, reason: tooHigh(port) };
  for (const [taken, whose] of [
    [PROBE_PORT, 'path probes'],
    [VXLAN_PORT, 'VXLAN'],
  ] as const) {
    if (port <= taken && taken < port + WIREGUARD_PORTS) {
      yield {
        path,
        reason: `ports ${port}–${port + WIREGUARD_PORTS - 1} contain ${taken}, which is for ${whose}`,
      };
    }
  }
}

function tooHigh(port: number): string {
  return `${port} leaves no room for ${WIREGUARD_PORTS} ports; wanted at most ${65_536 - WIREGUARD_PORTS}`;
}

function* overlapFaults(cidrs: readonly Cidr[], path: readonly string[]): Iterable<Fault> {
  for (const [at, cidr] of cidrs.entries()) {
    const other = cidrs.slice(0, at).find((earlier) => overlaps(earlier, cidr));
    if (other !== undefined) yield { path: [...path, at], reason: `${cidr} overlaps ${other}` };
  }
}

/** Names, ordinals, addresses and pod CIDRs belong to one node each. */
function* betweenNodes(site: SiteInput): Iterable<Fault> {
  const gateways = site.nodes.filter(({ role }) => role === 'gateway').length;
  if (gateways < 1 || gateways > MAX_GATEWAYS) {
    yield { path: ['nodes'], reason: `it has ${gateways} gateways; wanted 1 to ${MAX_GATEWAYS}` };
  }
  const taken = new Map<string, string>();
  for (const [at, node] of site.nodes.entries()) {
    for (const { key, path, text } of claims(node)) {
      const holder = taken.get(key);
      if (holder !== undefined)
        yield { path: ['nodes', at, ...path], reason: `${text} is "${holder}"'s already` };
      taken.set(key, node.name);
    }
  }
  yield* podOverlaps(site.nodes);
  yield* endpointOverlaps(site);
}

function* claims(node: NodeInput): Iterable<{ key: string; path: (string | number)[]; text: string }> {
  yield { key: `name ${node.name}`, path: ['name'], text: `the name "${node.name}"` };
  if (node.ordinal !== undefined) {
    yield { key: `ordinal ${node.ordinal}`, path: ['ordinal'], text: `ordinal ${node.ordinal}` };
  }
  for (const [at, address] of node.addresses.entries()) {
    yield { key: `address ${address}`, path: ['addresses', at], text: address };
  }
}

/** Sorted, a CIDR can only lie inside the last one that was not inside another: no pair is looked at twice. */
function* podOverlaps(nodes: readonly NodeInput[]): Iterable<Fault> {
  const all = nodes.flatMap((node, at) => node.podCIDRs.map((cidr, each) => ({ node, at, cidr, each })));
  let outer: (typeof all)[number] | undefined;
  for (const own of all.toSorted((a, b) => compare(a.cidr, b.cidr))) {
    if (outer === undefined || !overlaps(outer.cidr, own.cidr)) {
      outer = own;
      continue;
    }
    const whose = outer.node === own.node ? 'of the same node' : `of "${outer.node.name}"`;
    yield {
      path: ['nodes', own.at, 'podCIDRs', own.each],
      reason: `${own.cidr} overlaps ${outer.cidr} ${whose}`,
    };
  }
}

/** Gateways behind one outside address are told apart by their ports alone. */
function* endpointOverlaps(site: SiteInput): Iterable<Fault> {
  const seen: { name: string; address: Address; port: number }[] = [];
  for (const [at, { name, endpoint }] of site.nodes.entries()) {
    const port = endpoint?.port ?? site.listenPort;
    for (const address of endpoint?.addresses ?? []) {
      const other = seen.find(
        (each) => each.address === address && Math.abs(each.port - port) < WIREGUARD_PORTS,
      );
      if (other !== undefined && other.name !== name) {
        const reason = `ports from ${port} on ${address} are "${other.name}"'s already; wanted bases ${WIREGUARD_PORTS} apart`;
        yield { path: ['nodes', at, 'endpoint'], reason };
      }
      seen.push({ name, address, port });
    }
  }
}
