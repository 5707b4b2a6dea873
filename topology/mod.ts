// The Fleet value, and what follows from it: each host's plan, and what an operator is shown.
// This module is pure.

export type {
  Fleet,
  FabricPrefixes,
  GatewayEndpoint,
  Health,
  Host,
  Node,
  OwnCluster,
  RemoteCluster,
  RemoteGateway,
} from './fleet.ts';
export { healthText, parseHealth } from './health.ts';
export type { HealthText } from './health.ts';
export type { DevicePlan, HostPlan, LinkPlan, TunnelPlan } from './host-plan.ts';
export { mapTree } from './map.ts';
export type { Tree } from './map.ts';
export { clusterGroup, mtuOfNexthop, slotOf, slotOfNexthop, tunnelNexthop } from './nexthops.ts';
export { createPlanner, plan } from './planner.ts';
export type { Planner } from './planner.ts';
export { responderAddress } from './probed.ts';
export { renderPlan } from './render.ts';
export { clustersTable, gatewaysTable, routesTable, tunnelsTable } from './show.ts';
export type { ClusterRow, GatewayRow, RouteRow, TunnelRow } from './show.ts';
export { clusterOf, gatewayOf, laneOf, ordinalOf, tunnelId } from './tunnel-id.ts';
export type { TunnelId } from './tunnel-id.ts';
