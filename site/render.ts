// The files that gateways write into a site directory, as text.
// This module is pure.

import { stringify } from 'yaml';
import type { RemoteCluster } from '#topology';
import type { ClustersetFile } from './parse.ts';

const HEADER =
  "# Written by this cluster's gateways from verified records; changes made by hand are put back.\n";

/** `clusterset.yaml`. Equal values are equal text. */
export function renderClusterset({ fabric, clusters, ...file }: ClustersetFile): string {
  const { clusterset, cluster, index, left } = file;
  const { v4, v6 } = fabric;
  return HEADER + stringify({ clusterset, cluster, index, fabric: { v4, v6 }, clusters, left });
}

/** `clusters/<id>.yaml`. Equal values are equal text. */
export function renderCluster({ id, index, podCidrs, serviceCidrs, gateways }: RemoteCluster): string {
  const fields = {
    cluster: id,
    index,
    podCIDRs: podCidrs,
    serviceCIDRs: serviceCidrs,
    gateways: gateways.map(({ ordinal, keys, endpoint }) => ({
      ordinal,
      keys,
      ...(endpoint === undefined ? {} : { endpoint: { addresses: endpoint.addresses, port: endpoint.port } }),
    })),
  };
  return HEADER + stringify(fields, { aliasDuplicateObjects: false });
}
