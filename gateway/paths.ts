// Tunnels as an operator is told of them.
// This module is pure.

import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import type { Path } from '#lib/health';
import type { TunnelId, TunnelPlan } from '#topology';

/** Milliseconds that a tunnel may be silent before anybody is told: a handshake and two kicks. */
const PATIENCE_MS = 5000;

/** A cluster without any path is one condition, and its silent tunnels are not told one by one. */
export function pathConditions(
  tunnels: readonly TunnelPlan[],
  paths: ReadonlyMap<TunnelId, Path>,
  now: number,
): readonly Condition[] {
  const byCluster = Map.groupBy(tunnels, ({ id }) => id.slice(0, id.lastIndexOf('/')));
  return [...byCluster].flatMap(([cluster, own]) => {
    const silent = own.filter(({ id }) => isSilent(paths.get(id), now));
    if (silent.length === own.length) return [condition('IST_NO_PATH', cluster, { cluster })];
    return silent.map(({ id }) => condition('IST_TUNNEL_DOWN', id, { tunnel: id }));
  });
}

function isSilent(path: Path | undefined, now: number): boolean {
  if (path === undefined || path.state === 'up') return false;
  return path.state === 'down' || now - path.since > PATIENCE_MS;
}
