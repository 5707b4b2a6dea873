// What a kernel drops by itself when something that others stand on is removed.
// This module is pure.

import type { KernelState } from './kernel-state.ts';

export interface Gone {
  readonly devices?: ReadonlySet<string>;
  /** Ids of nexthops and groups. */
  readonly nexthops?: ReadonlySet<number>;
  /** `device address/prefix`. */
  readonly addresses?: ReadonlySet<string>;
}

const NONE: ReadonlySet<never> = new Set<never>();

export function addressKey(address: { device: string; address: string; prefix: number }): string {
  return `${address.device} ${address.address}/${address.prefix}`;
}

/**
 * The state after the removal: with a device go its addresses, neighbours, nexthops and direct routes; with an IPv4
 * address the routes that name it as source; with a nexthop its place in groups, with the last member the group; with
 * nexthop or group the routes by it.
 */
export function without(state: KernelState, gone: Gone): KernelState {
  const devices = gone.devices ?? NONE;
  const stays = (thing: { readonly device: string }): boolean => !devices.has(thing.device);
  const addresses = state.addresses.filter(
    (address) => stays(address) && gone.addresses?.has(addressKey(address)) !== true,
  );
  const sources = new Set(addresses.map(({ address }) => address));
  const lost = new Set(
    state.addresses
      .map(({ address }) => address)
      .filter((address) => !address.includes(':') && !sources.has(address)),
  );
  const ids = new Set(gone.nexthops);
  for (const { id, device } of state.nexthops) if (devices.has(device)) ids.add(id);
  const groups = state.groups
    .map((group) =>
      group.members.some((id) => ids.has(id))
        ? { ...group, members: group.members.filter((id) => !ids.has(id)) }
        : group,
    )
    .filter((group) => group.members.length > 0 && !ids.has(group.id));
  const groupIds = new Set(groups.map(({ id }) => id));
  for (const { id } of state.groups) if (!groupIds.has(id)) ids.add(id);
  return {
    ...state,
    links: state.links.filter((link) => !devices.has(link.name)),
    addresses,
    neighbours: state.neighbours.filter(stays),
    forwarding: state.forwarding.filter(stays),
    nexthops: state.nexthops.filter(({ id }) => !ids.has(id)),
    groups,
    routes: state.routes.filter(
      (route) =>
        !(route.device !== undefined && devices.has(route.device)) &&
        !(route.nexthop !== undefined && ids.has(route.nexthop)) &&
        !(route.source !== undefined && lost.has(route.source)),
    ),
  };
}
