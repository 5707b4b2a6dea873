// The tunnels that an earlier process of this gateway had proven, as the kernel still shows.
// This module is pure.

import type { NexthopGroup } from '#lib/linux';
import { clusterGroup, slotOf } from '#topology';
import type { Fleet, TunnelId } from '#topology';

/**
 * Members of the groups that stand: they answered when they were put there, and carry packets now. A daemon that starts
 * begins with them as up, so its restart moves nothing; what does not answer any more leaves as it always does.
 */
export function provenTunnels(
  { remotes }: Fleet,
  groups: readonly Pick<NexthopGroup, 'id' | 'members'>[],
): ReadonlySet<TunnelId> {
  const slots = new Map(groups.map((group) => [group.id, new Set(group.members.map(slotOf))]));
  const proven = remotes.flatMap(({ id, index, gateways }) => {
    const holds = (slot: number): boolean =>
      ([4, 6] as const).some((family) => slots.get(clusterGroup(family, index))?.has(slot));
    return gateways.flatMap(({ ordinal, keys }) =>
      [...keys.keys()]
        .filter((lane) => holds(8 * ordinal + lane))
        .map((lane): TunnelId => `${id}/${ordinal}#${lane}`),
    );
  });
  return new Set(proven);
}
