// A directory of YAML as the source of desired state: whoever reads it gets whole, checked values, or the file, line and field that is wrong.

export { changeDrains } from './drain.ts';
export { SiteError } from './error.ts';
export type { Place } from './error.ts';
export { fleetFromSite, ownCluster } from './fleet.ts';
export { NO_DRAINS, parseCluster, parseClusterset, parseDrains, parseSite } from './parse.ts';
export type { ClustersetFile, Drains, Site } from './parse.ts';
export { CLUSTERSET_FILE, SiteReader, clusterFiles, readSite } from './read.ts';
export type { SiteDirectory } from './read.ts';
export { isSameCluster, renderCluster, renderClusterset, renderDrains } from './render.ts';
export { watchSite } from './watch.ts';
export type { WatchOptions } from './watch.ts';
export { removeCluster, writeCluster, writeClusterset } from './write.ts';
