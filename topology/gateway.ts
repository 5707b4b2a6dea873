// A gateway's plan: tunnels to every remote gateway, and what is forwarded into and out of them.
// This module is pure.

import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import {
  BUCKETS_GATEWAY,
  LOOSE_ADDRESS,
  METRIC_GROUP,
  MIN_MTU_6,
  TABLE_FABRIC,
  TABLE_HERE,
  TABLE_SIBLING,
  TUNNEL_GROUP,
} from '#lib/constants';
import type { Family } from '#lib/ip';
import { addressCidr, familyOf, parseAddress } from '#lib/ip';
import type { Nexthop, Route } from '#lib/linux';
import type { Admitted } from './claims.ts';
import { detours, siblingPieces, siblingWays } from './detour.ts';
import type { Prospect, SiblingWays } from './detour.ts';
import { fabricAddress, fabricFamilies, lanePrefix } from './fabric.ts';
import type { Health, Node } from './fleet.ts';
import type { TunnelPlan } from './host-plan.ts';
import { ableGateways, deviceMtu, padded, reachOf, routeMtu } from './legs.ts';
import { hopTo, linkDevice } from './link.ts';
import { clusterGroup, tunnelNexthop } from './nexthops.ts';
import type { Slot } from './nexthops.ts';
import { fabricOn, guards, nodePieces } from './node.ts';
import type { Perspective, View } from './perspective.ts';
import { groupOf, sharedCidrs, sourced, unshared } from './perspective.ts';
import { once, sum } from './piece.ts';
import type { Piece } from './piece.ts';
import { gatewayRules } from './rules.ts';
import { gatewayRuleset } from './ruleset.ts';
import { ofFamily } from './standpoint.ts';
import type { GatewayNode, Standpoint } from './standpoint.ts';
import { baseOf, deviceName, slotNamed, tunnelsTo } from './tunnels.ts';
import type { Base, Tunnels } from './tunnels.ts';

const NO_TUNNELS: Tunnels = { plans: [], peers: [], conditions: [] };

export function gatewayPerspective(standpoint: Standpoint, self: GatewayNode): Perspective {
  const base = baseOf(standpoint, self);
  const ways: Ways = {
    narrow: once((mtu) => once((slot) => ({ nexthops: tunnelNexthops(standpoint, slot, mtu) }))),
    siblings: once((mtu) => siblingWays(standpoint, self, mtu)),
  };
  return {
    echoes: [],
    standing: [
      ...nodePieces(standpoint, []),
      { rules: standpoint.kernel.flatMap(gatewayRules) },
      { sysctls: [[`net.ipv4.conf.${standpoint.host.uplink.device}.rp_filter`, '2']] },
      ...siblingPieces(standpoint, self),
      ...workerPieces(standpoint, self),
      { conditions: weaknesses(standpoint, self) },
    ],
    interface: (slot) => tunnelInterface(base, slot),
    view: (remote) => viewOf(base, ways, remote),
    ruleset: gatewayRuleset(standpoint),
  };
}

/** What routes of one MTU are led by, whatever the remote. */
interface Ways {
  /** Tunnels, for routes with less than the device's MTU. */
  readonly narrow: (mtu: number) => (slot: Slot) => Piece;
  readonly siblings: SiblingWays;
}

function tunnelNexthops({ families }: Standpoint, slot: Slot, mtu?: number): Nexthop[] {
  return families.map((family) => ({
    id: tunnelNexthop(family, slot, mtu),
    family,
    device: deviceName(slot),
  }));
}

/** One WireGuard interface: every cluster's gateway of this ordinal, in this lane. */
function tunnelInterface({ standpoint, self, ends }: Base, slot: Slot): Piece {
  const { host, fabric } = standpoint;
  const device = deviceName(slot);
  const [ordinal, lane] = [Math.floor(slot / 8), slot % 8];
  const local = ends[lane] ?? [];
  const loose = local.some((address) => familyOf(address) === 4) ? [] : [parseAddress(LOOSE_ADDRESS)];
  return {
    links: [{ kind: 'wireguard', name: device, mtu: deviceMtu(self, host.uplink.mtu), group: TUNNEL_GROUP }],
    addresses: [...local, ...loose].map((address) => fabricOn(device, address)),
    nexthops: tunnelNexthops(standpoint, slot),
    // One route for all clusters, without an MTU: probes have to be able to measure.
    routes: local.map((source) => ({
      kind: 'unicast',
      destination: lanePrefix(fabric, familyOf(source), { ordinal, lane }),
      table: TABLE_HERE,
      metric: 0,
      device,
      source,
    })),
    sysctls: [[`net.ipv4.conf.${device}.rp_filter`, '2']],
  };
}

function viewOf(base: Base, ways: Ways, admitted: Admitted): View {
  const { standpoint, self } = base;
  const cidrs = sharedCidrs(standpoint, admitted);
  const reach = cidrs.length === 0 ? [] : reachOf(standpoint, admitted.remote.gateways);
  const legs = reach.find(({ gateway }) => gateway === self)?.legs ?? [];
  const { plans, peers, conditions } =
    cidrs.length === 0 ? NO_TUNNELS : tunnelsTo(base, legs, admitted, cidrs);
  const prospect = { admitted, cidrs, reach };
  const healthyOf = (health: Health): TunnelPlan[] => plans.filter(({ id }) => health.healthy.has(id));
  return {
    fixed: {
      tunnels: plans,
      peers,
      routes: guards(admitted.guarded),
      conditions: [...admitted.conditions, ...unshared(admitted, cidrs), ...conditions],
    },
    seen: (health) => {
      const healthy = healthyOf(health);
      return [...healthy, measuredRoom(healthy, health), ...ableGateways(reach, admitted, health)];
    },
    routing: (health) => {
      const healthy = healthyOf(health);
      const able = ableGateways(reach, admitted, health);
      return sum([
        balance(base, ways, prospect, { healthy, room: measuredRoom(healthy, health) }),
        ...detours(standpoint, ways.siblings, prospect, able),
      ]);
    },
  };
}

/** The tunnels to one remote that carry packets, and the largest packet that all of them are known to carry. */
interface Carrying {
  readonly healthy: readonly TunnelPlan[];
  readonly room: number;
}

function measuredRoom(healthy: readonly TunnelPlan[], { room }: Health): number {
  return Math.min(...healthy.map(({ id }) => room?.get(id) ?? Infinity));
}

/** The remote's groups over those tunnels that answer, and the routes into them. */
function balance(
  { standpoint, self }: Base,
  ways: Ways,
  { admitted, cidrs, reach }: Prospect,
  { healthy, room: measured }: Carrying,
): Piece {
  if (healthy.length === 0) return {};
  const { host, families, source } = standpoint;
  const { index } = admitted.remote;
  const room = Math.min(routeMtu(reach, host.uplink.mtu), measured);
  const mtu = room < deviceMtu(self, host.uplink.mtu) ? padded(room) : undefined;
  const slots = healthy.map(({ device }) => slotNamed(device));
  const used = families.filter((family) => ofFamily(cidrs, family).length > 0);
  return {
    shared: mtu === undefined ? [] : slots.map(ways.narrow(mtu)),
    groups: used.map((family) => {
      const members = slots.map((slot) => tunnelNexthop(family, slot, mtu));
      return groupOf(standpoint, clusterGroup(family, index), members, BUCKETS_GATEWAY);
    }),
    routes: cidrs.flatMap((destination): Route[] => {
      const family = familyOf(destination);
      const nexthop = clusterGroup(family, index);
      const way = { nexthop, ...(mtu === undefined ? {} : { mtu }) };
      const route = { kind: 'unicast', destination, metric: METRIC_GROUP, ...way } as const;
      return [
        { ...route, table: TABLE_HERE, ...sourced(source[family]) },
        { ...route, table: TABLE_SIBLING },
      ];
    }),
  };
}

/** From the fabric to the nodes behind: transit probes to the workers that answer them, and encapsulated pods. */
function workerPieces(standpoint: Standpoint, self: GatewayNode): Piece[] {
  const { families, way, own } = standpoint;
  const others = own.nodes.filter(({ name }) => name !== self.name);
  const encapsulated = families.filter((family) => way[family].kind === 'vxlan');
  const pods = others.flatMap((node) => podRoutes(standpoint, encapsulated, node));
  return [
    encapsulated.length === 0 ? {} : linkDevice(standpoint, others),
    { routes: [...transitRoutes(standpoint, self), ...pods] },
  ];
}

/**
 * In the table of what is from here as well: rp_filter asks there where an answer is from, and finds it unreachable where
 * no interface happens to cover this gateway's own ordinal.
 */
function transitRoutes(standpoint: Standpoint, self: GatewayNode): Route[] {
  const { own, fabric, families, responders } = standpoint;
  const usable = fabricFamilies(own.index).filter((family) => families.includes(family));
  const lanes = Array.from({ length: own.lanes }, (_, lane) => lane);
  return usable.flatMap((family) =>
    lanes.flatMap((lane) =>
      responders.flatMap(({ node, number }): Route[] => {
        const spot = { ordinal: self.ordinal, lane, index: own.index, node: number };
        const address = fabricAddress(fabric, family, spot);
        const hop = hopTo(standpoint, family, node);
        if (address === undefined || hop === undefined) return [];
        const route = { kind: 'unicast', destination: addressCidr(address), metric: 0, ...hop } as const;
        return [
          { ...route, table: TABLE_FABRIC },
          { ...route, table: TABLE_HERE },
        ];
      }),
    ),
  );
}

function podRoutes(standpoint: Standpoint, families: readonly Family[], node: Node): Route[] {
  return families.flatMap((family) => {
    const hop = hopTo(standpoint, family, node);
    if (hop === undefined) return [];
    return ofFamily(node.podCidrs, family).map((destination): Route => ({
      kind: 'unicast',
      destination,
      table: TABLE_FABRIC,
      metric: 0,
      ...hop,
    }));
  });
}

/** What works, and could be better. */
function weaknesses({ way, families, host }: Standpoint, self: GatewayNode): Condition[] {
  const { device, mtu } = host.uplink;
  const direct = families.some((family) => way[family].kind === 'direct');
  const room = deviceMtu(self, mtu);
  const small = families.includes(6) && room < MIN_MTU_6;
  return [
    ...(direct ? [condition('IST_LINK_TRUSTED', self.name, { node: self.name, device })] : []),
    ...(small ? [condition('IST_MTU_SMALL', self.name, { device, mtu: `${mtu}`, room: `${room}` })] : []),
  ];
}
