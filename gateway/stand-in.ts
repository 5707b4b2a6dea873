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
  /** Clusters that only this lane leads to. */
  readonly only: readonly string[];
}

/**
 * Another lane has to lead to each of the gateways that this one leads to: the far end chooses for itself, and knows of no
 * other gateway of its own. Siblings have to lead wherever this gateway does, because all of it rests for them.
 */
export function standIn(lane: number, { tunnels, standing, siblings, indexes }: Ways): StandIn {
  const up = tunnels.flatMap((id) => {
    const seen = standing(id);
    return seen === undefined ? [] : [{ id, draining: seen.draining }];
  });
  const others = new Set(
    up.filter(({ id, draining }) => laneOf(id) !== lane && !draining).map(({ id }) => gatewayOf(id)),
  );
  const alone = up.filter(({ id }) => laneOf(id) === lane && !others.has(gatewayOf(id)));
  if (alone.length === 0) return { by: 'lanes', only: [] };
  const missing = ({ id }: { id: TunnelId }): boolean => !siblings.has(indexes.get(clusterOf(id)) ?? -1);
  const clusters = (list: typeof up): string[] => [
    ...new Set(list.filter(missing).map(({ id }) => clusterOf(id))),
  ];
  const unreached = clusters(up);
  if (unreached.length === 0) return { by: 'gateways', only: [] };
  const only = clusters(alone);
  return { only: only.length > 0 ? only : unreached };
}
