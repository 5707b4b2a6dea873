// What `clusterctl show` can show.
// This module is pure.

export const VIEWS = {
  clusters: 'clusters of the clusterset, their CIDRs, and how they are reached from here',
  gateways: 'gateways of all clusters',
  tunnels: "this gateway's tunnels, and which of them answer",
  paths: 'what probes say of every path from here, and its last ten changes',
  routes: 'routes to other clusters that this host is to have',
  records: 'what the broker gave, and what of it was refused',
  conditions: 'what is wrong or weak',
  map: 'the clusterset as a tree',
} as const;

export type View = keyof typeof VIEWS;
