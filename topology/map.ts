// The clusterset as a tree, seen from one cluster.
// This module is pure.

import type { Fleet, RemoteCluster, RemoteGateway } from './fleet.ts';
import { canMeet } from './legs.ts';
import { endpointsOf } from './show.ts';
import { isGateway } from './standpoint.ts';
import type { GatewayNode } from './standpoint.ts';

/** Drawn by whoever prints it. */
export interface Tree {
  readonly label: string;
  readonly children: readonly Tree[];
}

/**
 * The own cluster with its nodes, then every other with its gateways and the tunnels there can be to each.
 *
 *     east  index 1  10.1.0.0/16  (here)
 *     ├─ gateway 0  203.0.113.10:51820  gw-0
 *     ├─ worker  worker-1
 *     └─ west  index 2  10.2.0.0/16
 *        └─ gateway 0  198.51.100.10:51820  2 lanes from 0, 1
 */
export function mapTree({ own, remotes }: Fleet): Tree {
  const gateways = own.nodes.filter(isGateway).sort((a, b) => a.ordinal - b.ordinal);
  const workers = own.nodes.filter((node) => !isGateway(node));
  return {
    label: `${clusterText(own)}  (here)`,
    children: [
      ...gateways.map((gateway) => leaf(`${gatewayText(gateway)}  ${gateway.name}`)),
      ...workers.map(({ name }) => leaf(`worker  ${name}`)),
      ...remotes.map((remote) => ({
        label: clusterText(remote),
        children: remote.gateways.map((gateway) =>
          leaf(`${gatewayText(gateway)}  ${lanesText(gateways, gateway, own.lanes)}`),
        ),
      })),
    ],
  };
}

function leaf(label: string): Tree {
  return { label, children: [] };
}

function clusterText({ id, index, podCidrs }: Pick<RemoteCluster, 'id' | 'index' | 'podCidrs'>): string {
  return `${id}  index ${index}  ${podCidrs.join(' ')}`;
}

function gatewayText({ ordinal, endpoint }: Pick<RemoteGateway, 'ordinal' | 'endpoint'>): string {
  return `gateway ${ordinal}  ${endpoint === undefined ? 'dials out only' : endpointsOf(endpoint).join(' ')}`;
}

function lanesText(gateways: readonly GatewayNode[], remote: RemoteGateway, lanes: number): string {
  const from = gateways.filter((gateway) => canMeet(gateway, remote)).map(({ ordinal }) => ordinal);
  if (from.length === 0) return 'no direct path: neither side can dial';
  const shared = Math.min(lanes, remote.keys.length);
  return `${shared} ${shared === 1 ? 'lane' : 'lanes'} from ${from.join(', ')}`;
}
