// The files of a site directory from their text.
// This module is pure.

import type { RemoteCluster, OwnCluster, FabricPrefixes } from '#topology';
import type { ClusterId } from '#lib/names';
import { compare } from '#lib/ip';
import { siteFaults } from './check.ts';
import { clusterSchema, clustersetSchema, drainsSchema, siteSchema } from './schema.ts';
import type { SiteInput } from './schema.ts';
import { parseYaml } from './yaml.ts';

/** The own cluster as its operators describe it: everything but the index, which membership gives. */
export type Site = Omit<OwnCluster, 'index'>;

/** What membership gave the own cluster, for hosts that have no credentials of their own. */
export interface ClustersetFile {
  readonly clusterset: string;
  readonly cluster: ClusterId;
  readonly index: number;
  readonly fabric: FabricPrefixes;
  /** The other clusters, each with a file of its own: one that is listed and not there has been lost, not removed. */
  readonly clusters: readonly ClusterId[];
  /** The cluster has left the clusterset: its hosts remove what they hold. */
  readonly left: boolean;
}

/**
 * `site.yaml`: canonical addresses, sorted lists, every default filled in.
 * @throws {SiteError} with file, line and field
 */
export function parseSite(text: string, file: string): Site {
  const { value, refuse } = parseYaml(text, file, siteSchema);
  for (const { path, reason } of siteFaults(value)) throw refuse(path, reason);
  return {
    id: value.cluster,
    podCidrs: value.podCIDRs.toSorted(compare),
    serviceCidrs: value.serviceCIDRs.toSorted(compare),
    lanes: value.lanes,
    listenPort: value.listenPort,
    link: value.link,
    nodes: value.nodes.map((node) => nodeOf(node, value.listenPort)).toSorted(byName),
  };
}

function nodeOf(node: SiteInput['nodes'][number], listenPort: number): Site['nodes'][number] {
  const { name, role, ordinal, addresses, podCIDRs, endpoint } = node;
  return {
    name,
    role,
    ...(ordinal === undefined ? {} : { ordinal }),
    addresses,
    podCidrs: podCIDRs.toSorted(compare),
    ...(endpoint === undefined
      ? {}
      : { endpoint: { addresses: endpoint.addresses, port: endpoint.port ?? listenPort } }),
  };
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** `clusterset.yaml`. @throws {SiteError} with file, line and field */
export function parseClusterset(text: string, file: string): ClustersetFile {
  return parseYaml(text, file, clustersetSchema).value;
}

/** What is taken out of use on purpose, until it is said otherwise. Lists are sorted. */
export interface Drains {
  /** Own gateways, by node name, that others should send nothing to. */
  readonly gateways: readonly string[];
  /** Other clusters that this one sends nothing to. */
  readonly clusters: readonly ClusterId[];
}

export const NO_DRAINS: Drains = { gateways: [], clusters: [] };

/** `drains.yaml`. @throws {SiteError} with file, line and field */
export function parseDrains(text: string, file: string): Drains {
  const { gateways, clusters } = parseYaml(text, file, drainsSchema).value;
  return { gateways: [...new Set(gateways)].toSorted(), clusters: [...new Set(clusters)].toSorted() };
}

/** `clusters/<id>.yaml`. @throws {SiteError} with file, line and field */
export function parseCluster(text: string, file: string): RemoteCluster {
  const { value, refuse } = parseYaml(text, file, clusterSchema);
  const twice = value.gateways.findIndex(
    ({ ordinal }, at) => value.gateways.findIndex((other) => other.ordinal === ordinal) < at,
  );
  if (twice !== -1) throw refuse(['gateways', twice, 'ordinal'], 'another gateway has it already');
  return {
    id: value.cluster,
    index: value.index,
    podCidrs: value.podCIDRs.toSorted(compare),
    serviceCidrs: value.serviceCIDRs.toSorted(compare),
    gateways: value.gateways.toSorted((a, b) => a.ordinal - b.ordinal),
  };
}
