// What moved in the kernels: which tunnels left the groups that carry traffic, and which came back.
// This module is pure.

import { NEXTHOP_BASE } from '#lib/constants';

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

/** One change of one group in one kernel. */
export interface Switch {
  readonly place: string;
  readonly family: number;
  readonly member: Member;
  readonly change: 'left' | 'came';
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
export function switchesIn(place: string, lines: readonly string[]): Switch[] {
  const groups = new Map<number, readonly number[]>();
  return lines.flatMap((line) => {
    const group = groupIn(line);
    if (group === undefined) return [];
    const before = groups.get(group.id);
    groups.set(group.id, group.members);
    if (before === undefined) return [];
    const family = Math.floor((group.id - NEXTHOP_BASE) / FAMILY);
    const some = (change: Switch['change'], these: readonly number[], those: readonly number[]): Switch[] =>
      these
        .filter((id) => !those.includes(id))
        .map((id) => ({ place, family, change, member: memberOf(id) }));
    return [...some('left', before, group.members), ...some('came', group.members, before)];
  });
}

/** What an identifier leads to. */
export function memberOf(id: number): Member {
  const kind = (id - NEXTHOP_BASE) % FAMILY;
  if (kind >= OWN_WAYS_BY_MTU) return { gateway: (kind - OWN_WAYS_BY_MTU) % 16 };
  if (kind >= OWN_WAYS && kind < OWN_WAYS + 8) return { gateway: kind - OWN_WAYS };
  const slot = (kind < SLOTS ? kind : kind - 10_048) % SLOTS;
  return { tunnel: `${slot >> 3}${slot & 7}`, ordinal: slot >> 3 };
}

/** Of all members of all groups, the most changes that one has been through. */
export function mostSwitches(switches: readonly Switch[]): number {
  return Math.max(0, ...byMember(switches).map((each) => each.length));
}

/** Members of groups that left and did not come back. */
export function missing(switches: readonly Switch[]): number {
  return byMember(switches).filter((each) => each.at(-1)?.change === 'left').length;
}

function byMember(switches: readonly Switch[]): readonly (readonly Switch[])[] {
  const members = Map.groupBy(switches, ({ place, family, member }) =>
    [place, family, 'gateway' in member ? `via ${member.gateway}` : member.tunnel].join(' '),
  );
  return [...members.values()];
}
