// Who carries a lane's packets while it carries none.
// This module is pure.

import { clusterOf, gatewayOf, laneOf } from '#topology';
import type { TunnelId } from '#topology';
import type { Standing } from './usable.ts';

/** What is known of this gateway's tunnels and of its siblings. */
export interface Ways {
  readonly tunnels: readonly TunnelId[];
  readonly standing: (id: TunnelId) => Standing | undefined;
  /** Indexes of clusters that siblings lead to. */
  readonly siblings: ReadonlySet<number>;
  readonly indexes: ReadonlyMap<string, number>;
}

export interface StandIn {
  /** Other lanes to the same gateways; else siblings for the whole of this one. Absent: nothing stands in. */
  readonly by?: 'lanes' | 'gateways';
  /** Clusters to which nothing stands in for this lane. */
  readonly only: readonly string[];
}

/**
 * Another lane has to lead to each of the gateways that this one leads to: the far end chooses for itself, and knows of no
 * other gateway of its own. Siblings have to lead wherever this gateway does, because all of it rests for them.
 *
 * Nothing stands in where a far daemon is stopped, which would go on sending by the old key, or where another lane to the
 * same gateway is silent: that gateway may not take the keys of this one, and the lanes that it has are all there is.
 */
export function standIn(lane: number, { tunnels, standing, siblings, indexes }: Ways): StandIn {
  const up = tunnels.flatMap((id) => {
    const seen = standing(id);
    return seen === undefined ? [] : [{ id, ...seen }];
  });
  const own = up.filter(({ id }) => laneOf(id) === lane);
  const others = up.filter(({ id }) => laneOf(id) !== lane);
  const staying = new Set(others.filter(({ draining }) => !draining).map(({ id }) => gatewayOf(id)));
  const alone = own.filter(({ id }) => !staying.has(gatewayOf(id)));
  const isWhole = alone.length > 0;
  const refusing = [
    ...(isWhole ? up : own).filter(({ stopped }) => stopped),
    ...silentBeside(own, { tunnels, standing }),
  ];
  if (refusing.length > 0) return { only: clustersOf(refusing) };
  if (!isWhole) return { by: 'lanes', only: [] };
  const isMissing = ({ id }: Way): boolean => !siblings.has(indexes.get(clusterOf(id)) ?? -1);
  const unreached = clustersOf(up.filter(isMissing));
  if (unreached.length === 0) return { by: 'gateways', only: [] };
  const only = clustersOf(alone.filter(isMissing));
  return { only: only.length > 0 ? only : unreached };
}

interface Way {
  readonly id: TunnelId;
}

/** Other lanes to the same gateways that do not answer. */
function silentBeside(own: readonly Way[], { tunnels, standing }: Pick<Ways, 'tunnels' | 'standing'>): Way[] {
  const gateways = new Set(own.map(({ id }) => gatewayOf(id)));
  return tunnels
    .filter((id) => gateways.has(gatewayOf(id)) && standing(id) === undefined)
    .map((id) => ({ id }));
}

function clustersOf(ways: readonly Way[]): readonly string[] {
  return [...new Set(ways.map(({ id }) => clusterOf(id)))];
}
