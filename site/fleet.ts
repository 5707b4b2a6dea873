// The fleet that a site directory describes.
// This module is pure.

import type { Fleet, OwnCluster } from '#topology';
import type { Site } from './parse.ts';
import type { SiteDirectory } from './read.ts';

/** The own cluster with the index that membership gave it. */
export function ownCluster(site: Site, index: number): OwnCluster {
  return { ...site, index };
}

/** What a host without credentials knows of the clusterset; undefined until a gateway has written `clusterset.yaml`, and after the cluster has left. */
export function fleetFromSite({ site, clusterset, clusters }: SiteDirectory): Fleet | undefined {
  if (clusterset === undefined || clusterset.left) return undefined;
  return {
    fabric: clusterset.fabric,
    own: ownCluster(site, clusterset.index),
    remotes: clusters.filter(({ id }) => clusterset.clusters.includes(id) && id !== site.id),
  };
}
