// The way by a sibling gateway, for what a gateway has no tunnel for.
// This module is pure.

import {
  BUCKETS_SIBLING,
  METRIC_SIBLING,
  METRIC_UNREACHABLE_DEFAULT,
  TABLE_HERE,
  TABLE_SIBLING,
} from '#lib/constants';
import type { Cidr } from '#lib/ip';
import { parseCidr } from '#lib/ip';
import type { Nexthop, Route } from '#lib/linux';
import type { Admitted } from './claims.ts';
import { routeMtu } from './legs.ts';
import type { Reach } from './legs.ts';
import { siblingDevice, siblingHop, vxlanMtu } from './link.ts';
import { detourGroup, siblingGroup, siblingNexthop } from './nexthops.ts';
import { groupOf, sourced } from './perspective.ts';
import type { Piece } from './piece.ts';
import { ofFamily } from './standpoint.ts';
import type { GatewayNode, Standpoint } from './standpoint.ts';

const DEFAULT = { 4: parseCidr('0.0.0.0/0'), 6: parseCidr('::/0') } as const;

/** What routes of one MTU are led by, whatever the remote. */
export type SiblingWays = (mtu: number) => Piece;

/** A remote as this gateway sees it. */
export interface Prospect {
  readonly admitted: Admitted;
  readonly cidrs: readonly Cidr[];
  readonly reach: readonly Reach[];
}

/**
 * Standing routes by way of the siblings that can have a tunnel there, in force by themselves once the group is gone. A
 * sibling that cannot would lose its share of them for good.
 */
export function detours(
  standpoint: Standpoint,
  ways: SiblingWays,
  { admitted, cidrs, reach }: Prospect,
  able: readonly Reach[],
): Piece[] {
  if (able.length === 0) return [];
  const mtu = routeMtu(reach, vxlanMtu(standpoint));
  const siblings = ways(mtu);
  return standpoint.families.map((family): Piece => {
    const all = (siblings.nexthops ?? []).filter((nexthop) => nexthop.family === family).map(({ id }) => id);
    const wanted = new Set(able.map(({ gateway }) => siblingNexthop(family, gateway.ordinal, mtu)));
    const members = all.filter((id) => wanted.has(id));
    const destinations = ofFamily(cidrs, family);
    if (members.length === 0 || destinations.length === 0) return {};
    const isAll = members.length === all.length;
    const nexthop = isAll ? siblingGroup(family, mtu) : detourGroup(family, admitted.remote.index);
    const route = { kind: 'unicast', table: TABLE_HERE, metric: METRIC_SIBLING, nexthop, mtu } as const;
    return {
      shared: [siblings],
      groups: isAll ? [] : [groupOf(standpoint, nexthop, members, BUCKETS_SIBLING)],
      routes: destinations.map((destination) => ({
        ...route,
        destination,
        ...sourced(standpoint.source[family]),
      })),
    };
  });
}

function siblingsOf({ gateways }: Standpoint, self: GatewayNode): GatewayNode[] {
  return gateways.filter((gateway) => gateway !== self);
}

/** The siblings, and all of them as one group. */
export function siblingWays(standpoint: Standpoint, self: GatewayNode, mtu: number): Piece {
  const { families } = standpoint;
  const nexthops = families.flatMap((family) =>
    siblingsOf(standpoint, self).flatMap((sibling): Nexthop[] => {
      const hop = siblingHop(standpoint, family, sibling);
      return hop === undefined ? [] : [{ id: siblingNexthop(family, sibling.ordinal, mtu), family, ...hop }];
    }),
  );
  const groups = families.flatMap((family) => {
    const members = nexthops.filter((nexthop) => nexthop.family === family).map(({ id }) => id);
    if (members.length === 0) return [];
    return [groupOf(standpoint, siblingGroup(family, mtu), members, BUCKETS_SIBLING)];
  });
  return { nexthops, groups };
}

/** The way between siblings; what comes from one goes into a tunnel or nowhere, so nothing circles. */
export function siblingPieces(standpoint: Standpoint, self: GatewayNode): Piece[] {
  const nowhere = standpoint.kernel.map((family): Route => {
    const destination = DEFAULT[family];
    return { kind: 'unreachable', destination, table: TABLE_SIBLING, metric: METRIC_UNREACHABLE_DEFAULT };
  });
  return [siblingDevice(standpoint, siblingsOf(standpoint, self)), { routes: nowhere }];
}
