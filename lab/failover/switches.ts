// What moved in the kernels: which tunnels left the groups that carry traffic, and which came back.
// This module is pure.

import { NEXTHOP_BASE } from '#lib/constants';
import { mtuOfNexthop } from '#topology';

/** Identifiers of each family lie so far apart. */
const FAMILY = 100_000;
/** A group of all that leads to one cluster: 1000 and its index. */
const CLUSTER_GROUPS = [1000, 3000] as const;
const SLOTS = 64;
/** Of ways to gateways of the own cluster: without an MTU of their own, and with one. */
const OWN_WAYS = 200;
const OWN_WAYS_BY_MTU = 52_000;

/** A member of a group: a tunnel by the ordinal of its far end and its lane, or a gateway of the own cluster. */
export type Member = { readonly tunnel: string; readonly ordinal: number } | { readonly gateway: number };

/** What a kernel said of one nexthop, and when we heard it, in ms of the clock of traces. */
export interface Said {
  readonly at: number;
  readonly line: string;
}

/** One change of one group in one kernel. `resized`: the same way for packets of another size, which is another object. */
export interface Switch {
  readonly at: number;
  readonly place: string;
  readonly family: number;
  readonly member: Member;
  readonly change: 'left' | 'came' | 'resized';
}

/** Of cluster groups alone, by the cluster's index; absent for an object that is none. */
export function groupIn(
  line: string,
): { readonly id: number; readonly index: number; readonly members: readonly number[] } | undefined {
  const [, deleted, digits, list] = /^(Deleted )?id (\d+) group ([\d/,]+)/.exec(line) ?? [];
  if (digits === undefined || list === undefined) return undefined;
  const id = Number(digits);
  const kind = (id - NEXTHOP_BASE) % FAMILY;
  if (id < NEXTHOP_BASE || kind < CLUSTER_GROUPS[0] || kind >= CLUSTER_GROUPS[1]) return undefined;
  const members = list.split('/').map((member) => Number.parseInt(member, 10));
  return { id, index: kind - CLUSTER_GROUPS[0], members: deleted === undefined ? members : [] };
}

/** How the membership of every group changed, from what each kernel held first to the last of what it told. */
export function switchesIn(place: string, told: readonly Said[]): Switch[] {
  return [...groupsIn(told)].flatMap(([id, states]) => {
    const family = Math.floor((id - NEXTHOP_BASE) / FAMILY);
    return states.flatMap(({ at, members }, turn) => {
      const before = states[turn - 1]?.members;
      if (before === undefined) return [];
      return changesBetween(before, members).map((change) => ({ at, place, family, ...change }));
    });
  });
}

interface GroupState {
  readonly at: number;
  readonly members: readonly number[];
}

/** What each group held, one state after the other. */
function groupsIn(told: readonly Said[]): ReadonlyMap<number, readonly GroupState[]> {
  const states = told.flatMap(({ at, line }) => {
    const group = groupIn(line);
    return group === undefined ? [] : [{ at, id: group.id, members: group.members }];
  });
  return Map.groupBy(states, ({ id }) => id);
}

/** By what the members lead to: an exchange for one that leads there too is no loss of a way. */
function changesBetween(
  before: readonly number[],
  after: readonly number[],
): Pick<Switch, 'member' | 'change'>[] {
  const had = new Map(before.map((id) => [keyOf(memberOf(id)), id]));
  const has = new Map(after.map((id) => [keyOf(memberOf(id)), id]));
  const changed = (id: number, change: Switch['change']): Pick<Switch, 'member' | 'change'> => {
    return { member: memberOf(id), change };
  };
  return [
    ...[...had].flatMap(([key, id]) => (has.has(key) ? [] : [changed(id, 'left')])),
    ...[...has].flatMap(([key, id]) => {
      const former = had.get(key);
      if (former === id) return [];
      return [changed(id, former === undefined ? 'came' : 'resized')];
    }),
  ];
}

function keyOf(member: Member): string {
  return 'gateway' in member ? `via ${member.gateway}` : member.tunnel;
}

/** Tunnels to one far gateway, and the largest packet that the way there carries. */
export interface NarrowWay {
  readonly ordinal: number;
  readonly carries: number;
}

/**
 * When the last of all groups had no such way left for packets that are too large for it: it was left, or is used for smaller ones. Infinity
 * where one has it still, or where one never had it: of a kernel that knew the size before, nothing can be measured.
 */
export function fittedAt(told: readonly Said[], { ordinal, carries }: NarrowWay): number {
  const isTooLarge = (id: number): boolean => {
    const member = memberOf(id);
    return 'tunnel' in member && member.ordinal === ordinal && (mtuOfNexthop(id) ?? Infinity) > carries;
  };
  const times = [...groupsIn(told).values()].map((states) => {
    const large = states.map(({ members }) => members.some(isTooLarge));
    return large[0] === true ? (states[large.lastIndexOf(true) + 1]?.at ?? Infinity) : Infinity;
  });
  return times.length === 0 ? Infinity : Math.max(...times);
}

/** When the last of all groups was empty, of what was told before `until`; Infinity where one was not, or where there is none. */
export function emptiedAt(told: readonly Said[], until: number): number {
  const groups = [...groupsIn(told.filter(({ at }) => at < until)).values()];
  const times = groups.map((states) => {
    const full = states.findLastIndex(({ members }) => members.length > 0);
    return states[full + 1]?.at ?? Infinity;
  });
  return times.length === 0 ? Infinity : Math.max(...times);
}

/** What an identifier leads to. */
export function memberOf(id: number): Member {
  const kind = (id - NEXTHOP_BASE) % FAMILY;
  if (kind >= OWN_WAYS_BY_MTU) return { gateway: (kind - OWN_WAYS_BY_MTU) % 16 };
  if (kind >= OWN_WAYS && kind < OWN_WAYS + 8) return { gateway: kind - OWN_WAYS };
  const slot = (kind < SLOTS ? kind : kind - 10_048) % SLOTS;
  return { tunnel: `${slot >> 3}${slot & 7}`, ordinal: slot >> 3 };
}

/** Of all members of all groups, the most times that one has left or come. */
export function mostSwitches(switches: readonly Switch[]): number {
  return Math.max(0, ...byMember(switches).map((each) => each.length));
}

/** Members of groups that left and did not come back. */
export function missing(switches: readonly Switch[]): number {
  return byMember(switches).filter((each) => each.at(-1)?.change === 'left').length;
}

/** Exchanges of a way for the same way with another size. */
export function resized(switches: readonly Switch[]): number {
  return switches.filter(({ change }) => change === 'resized').length;
}

function byMember(switches: readonly Switch[]): readonly (readonly Switch[])[] {
  const moved = switches.filter(({ change }) => change !== 'resized');
  const members = Map.groupBy(moved, ({ place, family, member }) => [place, family, keyOf(member)].join(' '));
  return [...members.values()];
}
