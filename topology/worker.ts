// A worker's plan: remote clusters by way of the own gateways, and answers to transit probes.
// This module is pure.

import { BUCKETS_WORKER, METRIC_GROUP, TABLE_HERE, TABLE_VIA } from '#lib/constants';
import type { Address, Cidr, Family } from '#lib/ip';
import type { Nexthop } from '#lib/linux';
import type { Admitted } from './claims.ts';
import { blockOf, fabricAddress, fabricFamilies } from './fabric.ts';
import type { RemoteCluster } from './fleet.ts';
import { ableGateways, reachOf, routeMtu } from './legs.ts';
import type { Reach } from './legs.ts';
import { hopTo, linkDevice } from './link.ts';
import { clusterGroup, gatewayNexthop } from './nexthops.ts';
import { guards, nodePieces } from './node.ts';
import { groupOf, sharedCidrs, sourced, unshared } from './perspective.ts';
import type { Perspective, View } from './perspective.ts';
import { once, sum } from './piece.ts';
import type { Piece } from './piece.ts';
import { hereRule, viaRule } from './rules.ts';
import { workerRuleset } from './ruleset.ts';
import { ofFamily } from './standpoint.ts';
import type { Standpoint } from './standpoint.ts';

export function workerPerspective(standpoint: Standpoint): Perspective {
  const { families, way, gateways, kernel } = standpoint;
  const ways: Ways = {
    4: once((mtu) => ({ nexthops: nexthopsOf(standpoint, 4, mtu) })),
    6: once((mtu) => ({ nexthops: nexthopsOf(standpoint, 6, mtu) })),
  };
  const devices = new Set(families.map((family) => way[family].device));
  const encapsulated = families.some((family) => way[family].kind === 'vxlan');
  const echoes = responses(standpoint);
  return {
    echoes,
    standing: [
      ...nodePieces(standpoint, echoes),
      { rules: kernel.map(hereRule) },
      encapsulated ? linkDevice(standpoint, gateways) : {},
      // Replies come by whichever gateway their flow chose, so by another way than the kernel would send.
      { sysctls: [...devices].map((device) => [`net.ipv4.conf.${device}.rp_filter`, '2'] as const) },
      isResponder(standpoint) ? answers(standpoint) : {},
    ],
    interface: () => ({}),
    view: (remote) => viewOf(standpoint, ways, remote),
    ruleset: workerRuleset(standpoint),
  };
}

/** The ways to the own gateways that routes of one MTU are led by, whatever the remote. */
type Ways = Readonly<Record<Family, (mtu: number) => Piece>>;

function nexthopsOf(standpoint: Standpoint, family: Family, mtu?: number): Nexthop[] {
  return standpoint.gateways.flatMap((gateway) => {
    const hop = hopTo(standpoint, family, gateway);
    return hop === undefined ? [] : [{ id: gatewayNexthop(family, gateway.ordinal, mtu), family, ...hop }];
  });
}

function isResponder({ responders, node }: Standpoint): boolean {
  return responders.some((responder) => responder.node === node);
}

/** The fabric addresses that this worker answers transit probes on: one for each own gateway and lane. */
function responses({ responders, node, gateways, own, fabric, families }: Standpoint): Address[] {
  const number = responders.find((responder) => responder.node === node)?.number;
  if (number === undefined) return [];
  const usable = fabricFamilies(own.index).filter((family) => families.includes(family));
  const lanes = Array.from({ length: own.lanes }, (_, lane) => lane);
  return usable.flatMap((family) =>
    gateways.flatMap(({ ordinal }) =>
      lanes.flatMap(
        (lane) => fabricAddress(fabric, family, { ordinal, lane, index: own.index, node: number }) ?? [],
      ),
    ),
  );
}

/** The answer to a transit probe goes back through the gateway that its own address names. */
function answers(standpoint: Standpoint): Piece {
  const { gateways, fabric, families } = standpoint;
  const nexthops = families.flatMap((family) => nexthopsOf(standpoint, family));
  const ways = gateways.flatMap(({ ordinal }) =>
    nexthops
      .filter(({ id, family }) => id === gatewayNexthop(family, ordinal))
      .map((to) => ({ ordinal, to })),
  );
  return {
    nexthops,
    rules: ways.map(({ ordinal, to }) => viaRule(fabric, to.family, ordinal)),
    routes: ways.map(({ ordinal, to }) => ({
      kind: 'unicast',
      destination: blockOf(fabric, to.family),
      table: TABLE_VIA + ordinal,
      metric: 0,
      nexthop: to.id,
    })),
  };
}

function viewOf(standpoint: Standpoint, ways: Ways, admitted: Admitted): View {
  const cidrs = sharedCidrs(standpoint, admitted);
  const reach = cidrs.length === 0 ? [] : reachOf(standpoint, admitted.remote.gateways);
  return {
    fixed: {
      routes: guards(admitted.guarded),
      conditions: [...admitted.conditions, ...unshared(admitted, cidrs)],
    },
    seen: (health) => ableGateways(reach, admitted, health),
    routing: (health) => {
      const able = ableGateways(reach, admitted, health);
      return balance(standpoint, ways, { remote: admitted.remote, cidrs, reach, able });
    },
  };
}

interface Prospect {
  readonly remote: RemoteCluster;
  readonly cidrs: readonly Cidr[];
  /** Own gateways that can have a tunnel to it, and those of them that are known to. */
  readonly reach: readonly Reach[];
  readonly able: readonly Reach[];
}

/** The remote's groups over those own gateways that lead there. The MTU is that of all: it outlives who is able now. */
function balance(standpoint: Standpoint, ways: Ways, { remote, cidrs, reach, able }: Prospect): Piece {
  const { families, source, way } = standpoint;
  const pieces = families.map((family): Piece => {
    const mtu = routeMtu(reach, way[family].mtu);
    const wanted = able.map(({ gateway }) => gatewayNexthop(family, gateway.ordinal, mtu));
    const shared = ways[family](mtu);
    const members = wanted.filter((id) => shared.nexthops?.some((nexthop) => nexthop.id === id));
    const destinations = ofFamily(cidrs, family);
    if (members.length === 0 || destinations.length === 0) return {};
    const nexthop = clusterGroup(family, remote.index);
    const route = { kind: 'unicast', table: TABLE_HERE, metric: METRIC_GROUP, nexthop, mtu } as const;
    return {
      shared: [shared],
      groups: [groupOf(standpoint, nexthop, members, BUCKETS_WORKER)],
      routes: destinations.map((destination) => ({ ...route, destination, ...sourced(source[family]) })),
    };
  });
  return sum(pieces);
}
