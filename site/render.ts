// The files that gateways write into a site directory, as text.
// This module is pure.

import { stringify } from 'yaml';
import { sorted } from '#lib/ip';
import type { RemoteCluster } from '#topology';
import type { ClustersetFile, Drains } from './parse.ts';

const HEADER =
  "# Written by this cluster's gateways from verified records; changes made by hand are put back.\n";

/** `clusterset.yaml`. Equal values are equal text. */
export function renderClusterset({ fabric, clusters, ...file }: ClustersetFile): string {
  const { clusterset, cluster, index, left } = file;
  const { v4, v6 } = fabric;
  return HEADER + stringify({ clusterset, cluster, index, fabric: { v4, v6 }, clusters, left });
}

/** `drains.yaml`. Equal values are equal text. */
export function renderDrains({ gateways, clusters }: Drains): string {
  const fields = { gateways: gateways.toSorted(), clusters: clusters.toSorted() };
  return `# Written by clusterctl drain and undrain; may be written by hand.\n${stringify(fields)}`;
}

/** `clusters/<id>.yaml`. Equal values are equal text. */
export function renderCluster({ id, index, podCidrs, serviceCidrs, gateways }: RemoteCluster): string {
  const fields = {
    cluster: id,
    index,
    podCIDRs: sorted(podCidrs),
    serviceCIDRs: sorted(serviceCidrs),
    gateways: gateways.map(({ ordinal, keys, endpoint }) => ({
      ordinal,
      keys,
      ...(endpoint === undefined ? {} : { endpoint: { addresses: endpoint.addresses, port: endpoint.port } }),
    })),
  };
  return HEADER + stringify(fields, { aliasDuplicateObjects: false });
}

/** Whether two descriptions of a cluster are written as the same file; asked for each cluster, and far cheaper than writing. */
export function isSameCluster(a: RemoteCluster, b: RemoteCluster): boolean {
  return a === b || summary(a) === summary(b);
}

/** Lists of CIDRs have no order of their own. */
function summary({ id, index, podCidrs, serviceCidrs, gateways }: RemoteCluster): string {
  const set = (cidrs: readonly string[]): string[] => cidrs.toSorted((x, y) => (x < y ? -1 : 1));
  const ends = gateways.map(({ ordinal, keys, endpoint }) => [
    ordinal,
    keys,
    endpoint?.addresses,
    endpoint?.port,
  ]);
  return JSON.stringify([id, index, set(podCidrs), set(serviceCidrs), ends]);
}
