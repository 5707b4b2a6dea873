// The tunnels that an earlier process of this gateway had proven, as the kernel still shows.
// This module is pure.

import type { NexthopGroup } from '#lib/linux';
import type { Device } from '#lib/wireguard';
import { clusterGroup, slotOf, slotOfNexthop, tunnelId } from '#topology';
import type { Fleet, TunnelId } from '#topology';

/** What of the kernel's state tells which tunnels carry packets. */
export interface Remains {
  readonly groups: readonly Pick<NexthopGroup, 'id' | 'members'>[];
  /** Absent: they did not say what they hold. */
  readonly devices?: readonly Pick<Device, 'peers'>[];
}

/**
 * Members of the groups that stand: they answered when they were put there, and carry packets now. A daemon that starts
 * begins with them as up, so its restart moves nothing; what does not answer any more leaves as it always does. A far end
 * that has shown another key since has answered nobody.
 */
export function provenTunnels({ remotes }: Fleet, { groups, devices }: Remains): ReadonlySet<TunnelId> {
  const peers =
    devices && new Set(devices.flatMap((device) => device.peers.map(({ publicKey }) => publicKey)));
  const slots = new Map(groups.map((group) => [group.id, new Set(group.members.map(slotOfNexthop))]));
  const proven = remotes.flatMap(({ id, index, gateways }) => {
    const holds = (slot: number): boolean =>
      ([4, 6] as const).some((family) => slots.get(clusterGroup(family, index))?.has(slot));
    return gateways.flatMap(({ ordinal, keys }) =>
      [...keys.entries()]
        .filter(([lane, key]) => holds(slotOf(ordinal, lane)) && peers?.has(key) !== false)
        .map(([lane]) => tunnelId(id, ordinal, lane)),
    );
  });
  return new Set(proven);
}
