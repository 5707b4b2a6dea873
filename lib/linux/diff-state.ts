// A kernel's state and a plan in, what to change out.
// This module is pure.

import { ROUTE_PROTOCOL } from '#lib/constants';
import { addressKey, without } from './cascade.ts';
import type { Changes, Diff } from './changes.ts';
import { checkWanted } from './check.ts';
import { diffSysctls, diffTable } from './diff-rest.ts';
import type { RememberedSysctls } from './diff-rest.ts';
import { diff } from './diff.ts';
import type {
  HeldForwarding,
  HeldGroup,
  HeldLink,
  HeldNeighbour,
  HeldRoute,
  HeldRule,
} from './kernel-state.ts';
import type { KernelState } from './kernel-state.ts';
import { isKernelLinkLocal } from './own.ts';
import type { InterfaceAddress, Link, NetworkState, Nexthop, NexthopGroup, Route, Rule } from './state.ts';

/**
 * What has to change so that `have` becomes `wanted`. Things that must be made anew are in `remove` and in `add`; what
 * the kernel drops along with them is in `add` as well. `remembered` are the sysctls that we have changed before.
 * Throws RangeError where `wanted` holds something that could not be recognised afterwards.
 */
export function diffState(
  have: KernelState,
  wanted: NetworkState,
  remembered: RememberedSysctls = {},
): Changes {
  checkWanted(wanted);
  const links = remake(diffLinks(have.links, wanted.links), linkIsOther);
  const remade = inBoth(links, linkName);
  const unlinked = without(have, { devices: remade });
  const addresses = remake(diffAddresses(unlinked, wanted), (from, to) => from.scope !== to.scope);
  const readdressed = without(unlinked, { addresses: inBoth(addresses, addressKey) });
  const clash = clashes(readdressed, wanted);
  const settled = without(readdressed, { nexthops: clash });
  const going = new Set(links.remove.map(linkName).filter((name) => !remade.has(name)));
  const goesAlong = (thing: { readonly device: string }): boolean => going.has(thing.device);
  return {
    links,
    addresses: { ...addresses, remove: addresses.remove.filter((thing) => !goesAlong(thing)) },
    neighbours: spare(diffNeighbours(settled, wanted), goesAlong),
    forwarding: spare(diffForwarding(settled, wanted), goesAlong),
    ...diffNexthops(readdressed, settled, wanted),
    routes: diffRoutes(settled.routes, wanted.routes),
    rules: diff<Rule, HeldRule>(have.rules, wanted.rules, {
      key: ruleKey,
      heldKey: heldRuleKey,
      same: () => true,
    }),
    sysctls: diffSysctls(have.sysctls, wanted.sysctls, remembered),
    nftables: diffTable(have.nftables, wanted.nftables),
  };
}

/** Something differs. */
export function hasChanges(changes: Changes): boolean {
  const { sysctls, nftables, ...diffs } = changes;
  const lists: readonly Diff<unknown>[] = Object.values(diffs);
  return (
    sysctls.length > 0 ||
    nftables !== undefined ||
    lists.some(({ add, change, remove }) => add.length + change.length + remove.length > 0)
  );
}

/** Turns the changes that a kernel cannot make in place into a removal with an addition. */
function remake<W, H>(list: Diff<W, H>, mustBeNew: (from: H, to: W) => boolean): Diff<W, H> {
  const anew = list.change.filter(({ from, to }) => mustBeNew(from, to));
  if (anew.length === 0) return list;
  return {
    add: [...list.add, ...anew.map(({ to }) => to)],
    change: list.change.filter(({ from, to }) => !mustBeNew(from, to)),
    remove: [...list.remove, ...anew.map(({ from }) => from)],
  };
}

/** Keys that are removed and added: they are removed first. */
export function inBoth<K, T>(list: Diff<T>, key: (thing: T) => K): ReadonlySet<K> {
  if (list.add.length === 0 || list.remove.length === 0) return new Set();
  const added = new Set(list.add.map(key));
  return new Set(list.remove.map(key).filter((one) => added.has(one)));
}

function spare<T>(list: Diff<T>, goesAlong: (thing: T) => boolean): Diff<T> {
  return { ...list, remove: list.remove.filter((thing) => !goesAlong(thing)) };
}

const linkName = (link: { readonly name: string }): string => link.name;

function diffLinks(have: readonly HeldLink[], want: readonly Link[]): Diff<Link, HeldLink> {
  return diff<Link, HeldLink>(have, want, {
    key: linkName,
    heldKey: linkName,
    same: (held, link) =>
      held.up && held.mtu === link.mtu && held.group === link.group && !linkIsOther(held, link),
  });
}

function linkIsOther(held: HeldLink, link: Link): boolean {
  if (held.kind !== 'vxlan' || link.kind !== 'vxlan') return held.kind !== link.kind;
  return (
    held.vni !== link.vni || held.port !== link.port || held.local !== link.local || held.mac !== link.mac
  );
}

function diffAddresses(have: KernelState, wanted: NetworkState): Diff<InterfaceAddress> {
  const list = diff<InterfaceAddress, InterfaceAddress>(have.addresses, wanted.addresses.map(asHeld), {
    key: addressKey,
    heldKey: addressKey,
    same: (held, address) => held.scope === address.scope && held.deprecated === address.deprecated,
  });
  return {
    ...list,
    remove: list.remove.filter(({ address, prefix }) => !isKernelLinkLocal(address, prefix)),
  };
}

/** IPv6 takes the scope from the address, IPv4 knows no deprecation that we would want. */
function asHeld(address: InterfaceAddress): InterfaceAddress {
  if (!address.address.includes(':')) return { ...address, deprecated: false };
  return { ...address, scope: address.address.startsWith('fe80:') ? 'link' : 'global' };
}

function diffNeighbours(have: KernelState, wanted: NetworkState): Diff<HeldNeighbour> {
  const want = wanted.neighbours.map(({ device, address, mac }) => ({ device, address, mac }));
  const key = ({ device, address }: HeldNeighbour): string => `${device} ${address}`;
  return diff(have.neighbours, want, { key, heldKey: key, same: (held, { mac }) => held.mac === mac });
}

function diffForwarding(have: KernelState, wanted: NetworkState): Diff<HeldForwarding> {
  const key = ({ device, mac }: HeldForwarding): string => `${device} ${mac}`;
  // Neighbours of both families share one MAC, and so one entry.
  const want = new Map(
    wanted.neighbours.map(({ device, mac, outer }) => [`${device} ${mac}`, { device, mac, outer }]),
  );
  return diff(have.forwarding, [...want.values()], {
    key,
    heldKey: key,
    same: (held, { outer }) => held.outer === outer,
  });
}

/** Ids that a kernel cannot change in place: nexthop to group and back, and a group's kind and size. */
function clashes(have: KernelState, wanted: NetworkState): ReadonlySet<number> {
  const groups = new Map(wanted.groups.map((group) => [group.id, group]));
  const single = new Map(wanted.nexthops.map((nexthop) => [nexthop.id, nexthop]));
  const isOther = ({ id, buckets }: HeldGroup): boolean =>
    single.has(id) || (groups.has(id) && groups.get(id)?.buckets !== buckets);
  return new Set([
    ...have.nexthops
      .filter(({ id, family }) => groups.has(id) || (single.get(id)?.family ?? family) !== family)
      .map(({ id }) => id),
    ...have.groups.filter(isOther).map(({ id }) => id),
  ]);
}

/** Against the state without clashes; what clashes is removed too. */
function diffNexthops(
  have: KernelState,
  settled: KernelState,
  wanted: NetworkState,
): Pick<Changes, 'nexthops' | 'groups'> {
  const byId = ({ id }: { readonly id: number }): number => id;
  const key = ({ id }: { readonly id: number }): string => String(id);
  const wantedIds = new Set([...wanted.nexthops, ...wanted.groups].map(byId));
  const mine = (thing: { readonly id: number; readonly ours: boolean }): boolean =>
    thing.ours || wantedIds.has(thing.id);
  const kept = new Set([...settled.nexthops, ...settled.groups].map(byId));
  const gone = <T extends { readonly id: number }>(list: readonly T[]): T[] =>
    list.filter(({ id }) => !kept.has(id) && wantedIds.has(id));
  const nexthops = diff(settled.nexthops.filter(mine), wanted.nexthops, {
    key,
    heldKey: key,
    same: sameNexthop,
  });
  const groups = diff(settled.groups.filter(mine), wanted.groups, { key, heldKey: key, same: sameGroup });
  return {
    nexthops: { ...nexthops, remove: [...nexthops.remove, ...gone(have.nexthops)] },
    groups: { ...groups, remove: [...groups.remove, ...gone(have.groups)] },
  };
}

function sameNexthop(held: Nexthop & { readonly ours: boolean }, nexthop: Nexthop): boolean {
  return (
    held.ours &&
    held.family === nexthop.family &&
    held.device === nexthop.device &&
    held.via === nexthop.via &&
    (held.onlink ?? false) === (nexthop.onlink ?? false)
  );
}

function sameGroup(held: HeldGroup, group: NexthopGroup): boolean {
  if (!held.ours || held.foreign !== '' || held.members.length !== group.members.length) return false;
  const members = new Set(held.members);
  return group.members.every((id) => members.has(id));
}

function diffRoutes(have: readonly HeldRoute[], want: readonly Route[]): Diff<Route, HeldRoute> {
  return diff<Route, HeldRoute>(have, want, { key: routeKey, heldKey: heldRouteKey, same: sameRoute });
}

/** IPv6 shows the metric that it takes for 0. */
export function shownMetric(route: Route): number {
  return route.metric === 0 && route.destination.includes(':') ? 1024 : route.metric;
}

function routeKey(route: Route): string {
  return `${route.table} ${route.destination} ${shownMetric(route)}`;
}

function heldRouteKey(route: HeldRoute): string {
  const key = `${route.table} ${route.destination} ${route.metric}`;
  return route.tos === undefined ? key : `${key} ${route.tos}`;
}

function sameRoute(held: HeldRoute, route: Route): boolean {
  return (
    held.protocol === ROUTE_PROTOCOL &&
    held.foreign === '' &&
    held.kind === route.kind &&
    held.source === route.source &&
    held.mtu === route.mtu &&
    sameHop(held, route)
  );
}

function sameHop(held: HeldRoute, route: Route): boolean {
  return (
    held.nexthop === route.nexthop &&
    held.via === route.via &&
    (route.device === undefined || held.device === route.device) &&
    (held.onlink ?? false) === (route.onlink ?? false)
  );
}

function ruleKey(rule: Rule): string {
  const { family, priority, from, mark, action } = rule;
  const does = action === 'unreachable' ? action : `${action.lookup} ${action.suppressPrefix ?? ''}`;
  return `${family} ${priority} ${from ?? ''} ${mark?.value ?? ''}/${mark?.mask ?? ''} ${does}`;
}

function heldRuleKey(rule: HeldRule): string {
  return rule.foreign === '' ? ruleKey(rule) : `${ruleKey(rule)} ${rule.foreign}`;
}
