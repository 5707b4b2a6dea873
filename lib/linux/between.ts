// The way from one plan to the next, for a kernel that is known to hold the first.
// This module is pure.

import { ROUTE_PROTOCOL } from '#lib/constants';
import { isSameList } from '#lib/same';
import type { Changes, Diff } from './changes.ts';
import { diffState, shownMetric } from './diff-state.ts';
import { fingerprint } from './fingerprint.ts';
import type { HeldRoute, HeldTable, KernelState } from './kernel-state.ts';
import { canonicalElement } from './parse-nft.ts';
import type { NetworkState, NftTable, Route } from './state.ts';
import { EMPTY_STATE } from './state.ts';

/**
 * What has to change so that a kernel that holds `before` holds `wanted`, where nothing but nexthops, groups, routes and
 * set elements differ: these depend on nothing that the kernel does by itself. Undefined where more differs, so that the
 * kernel has to be read. Elements that both states share by identity cost nothing.
 */
export function changesBetween(before: NetworkState, wanted: NetworkState): Changes | undefined {
  if (!isRoutingAlone(before, wanted)) return undefined;
  const have = assumed(differing(before, wanted));
  const changes = diffState(have, differing(wanted, before));
  return remakes([changes.nexthops, changes.groups]) ? undefined : changes;
}

function isRoutingAlone(a: NetworkState, b: NetworkState): boolean {
  const lists = ['links', 'addresses', 'neighbours', 'rules'] as const;
  return (
    lists.every((name) => isSameList<object>(a[name], b[name], isSame)) &&
    isSame(a.sysctls, b.sysctls) &&
    a.nftables?.name === b.nftables?.name &&
    a.nftables?.body === b.nftables?.body
  );
}

/** As text, which differs at worst where the values do not: then the kernel is read. */
function isSame(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** What `state` has and `other` has not, by identity; for the rest both are alike. */
function differing(state: NetworkState, other: NetworkState): NetworkState {
  const only = <T>(mine: readonly T[], theirs: readonly T[]): T[] => {
    const known = new Set(theirs);
    return mine.filter((one) => !known.has(one));
  };
  return {
    ...EMPTY_STATE,
    nexthops: only(state.nexthops, other.nexthops),
    groups: only(state.groups, other.groups),
    routes: only(state.routes, other.routes),
    nftables: state.nftables && differingSets(state.nftables, other.nftables),
  };
}

function differingSets(table: NftTable, other: NftTable | undefined): NftTable {
  const sets = Object.entries(table.sets).filter(([name, elements]) => !isSame(elements, other?.sets[name]));
  return { ...table, sets: Object.fromEntries(sets) };
}

/** The state as a kernel would show it that holds nothing else. */
function assumed({ nexthops, groups, routes, nftables }: NetworkState): KernelState {
  return {
    links: [],
    addresses: [],
    neighbours: [],
    forwarding: [],
    nexthops: nexthops.map((nexthop) => ({ ...nexthop, ours: true })),
    groups: groups.map((group) => ({ ...group, ours: true, foreign: '' })),
    routes: routes.map(heldRoute),
    rules: [],
    sysctls: {},
    nftables: nftables && heldTable(nftables),
  };
}

function heldRoute(route: Route): HeldRoute {
  const family = route.destination.includes(':') ? 6 : 4;
  return { ...route, family, metric: shownMetric(route), protocol: ROUTE_PROTOCOL, foreign: '' };
}

function heldTable({ name, body, sets }: NftTable): HeldTable {
  const held = Object.entries(sets).map(([set, elements]) => [set, elements.map(canonicalElement)] as const);
  const seal = { body: fingerprint(body), listing: '' };
  return { name, seal, listing: seal.listing, sets: Object.fromEntries(held) };
}

/** Whether an id goes and comes: the kernel then drops what stands on it, which is not among what differs. */
function remakes(lists: readonly Diff<{ readonly id: number }>[]): boolean {
  const going = new Set(lists.flatMap(({ remove }) => remove.map(({ id }) => id)));
  return lists.some(({ add }) => add.some(({ id }) => going.has(id)));
}
