// The tunnels that an earlier process of this gateway had proven, as the kernel still shows.
// This module is pure.

import type { NexthopGroup } from '#lib/linux';
import type { Device } from '#lib/wireguard';
import { clusterGroup, mtuOfNexthop, slotOf, slotOfNexthop, tunnelId } from '#topology';
import type { Fleet, Health } from '#topology';

/** What of the kernel's state tells which tunnels carry packets. */
export interface Remains {
  readonly groups: readonly Pick<NexthopGroup, 'id' | 'members'>[];
  /** Absent: they did not say what they hold. */
  readonly devices?: readonly Pick<Device, 'peers'>[];
}

/**
 * Members of the groups that stand: they answered when they were put there, and carry packets now, as large ones as is said
 * there. A daemon that starts begins with them as up, so its restart moves nothing; what does not answer any more leaves as
 * it always does. A far end that has shown another key since has answered nobody.
 */
export function provenTunnels(
  { remotes }: Fleet,
  { groups, devices }: Remains,
): Required<Pick<Health, 'healthy' | 'room'>> {
  const peers =
    devices && new Set(devices.flatMap((device) => device.peers.map(({ publicKey }) => publicKey)));
  const bySlot = new Map(groups.map(({ id, members }) => [id, roomBySlot(members)]));
  const proven = remotes.flatMap(({ id, index, gateways }) => {
    const held = ([4, 6] as const).flatMap((family) => bySlot.get(clusterGroup(family, index)) ?? []);
    return gateways.flatMap(({ ordinal, keys }) =>
      [...keys.entries()].flatMap(([lane, key]) => {
        const rooms = held.flatMap((slots) => slots.get(slotOf(ordinal, lane)) ?? []);
        if (rooms.length === 0 || peers?.has(key) === false) return [];
        return [{ id: tunnelId(id, ordinal, lane), room: Math.min(...rooms) }];
      }),
    );
  });
  const measured = proven.filter(({ room }) => room < Infinity);
  return {
    healthy: new Set(proven.map(({ id }) => id)),
    room: new Map(measured.map(({ id, room }) => [id, room])),
  };
}

/** Largest packets by the slot of a tunnel; Infinity where its device decides. */
function roomBySlot(members: readonly number[]): ReadonlyMap<number, number> {
  return new Map(members.map((id) => [slotOfNexthop(id), mtuOfNexthop(id) ?? Infinity]));
}
