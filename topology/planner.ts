// The heart: a fleet and a host in, the whole wanted network state of that host out.
// This module is pure.

import type { Condition } from '#lib/conditions';
import { MARK_OUTER } from '#lib/constants';
import { createClaims } from './claims.ts';
import type { Admitted } from './claims.ts';
import type { Fleet, Health, Host } from './fleet.ts';
import { gatewayPerspective } from './gateway.ts';
import type { DevicePlan, HostPlan } from './host-plan.ts';
import type { Slot } from './nexthops.ts';
import type { Perspective, View } from './perspective.ts';
import { createSum, once, sameElements, sum } from './piece.ts';
import type { Piece, SlottedPeer } from './piece.ts';
import { linksOf } from './probed.ts';
import { isGateway, standpointOf } from './standpoint.ts';
import type { Standpoint } from './standpoint.ts';
import { deviceName } from './tunnels.ts';
import { workerPerspective } from './worker.ts';

/** Plans for one host after another, or for one host again and again. */
export type Planner = (fleet: Fleet, host: Host) => HostPlan;

/**
 * What a host of the own cluster should hold, given what its cluster knows.
 *
 * @throws {RangeError} when the host is no node of the own cluster
 */
export function plan(fleet: Fleet, host: Host): HostPlan {
  return createPlanner()(fleet, host);
}

/**
 * A planner that gives what {@link plan} gives, sooner: it remembers what followed from each remote cluster. Remotes are
 * known by identity, so a fleet has to keep the objects of those that did not change.
 */
export function createPlanner(): Planner {
  let remembered: { readonly key: string; readonly plan: ReturnType<typeof plannerFrom> } | undefined;
  return (fleet, host) => {
    const { healthy, room, gateways, ...facts } = host;
    const key = JSON.stringify([fleet.fabric, fleet.own, facts]);
    if (remembered?.key !== key) remembered = { key, plan: plannerFrom(standpointOf(fleet, host)) };
    return remembered.plan(fleet, { healthy, ...(room && { room }), ...(gateways && { gateways }) });
  };
}

/** Plans for as long as the own cluster and the host stay what they are. */
function plannerFrom(standpoint: Standpoint): (fleet: Fleet, health: Health) => HostPlan {
  const perspective = perspectiveOf(standpoint);
  const claims = createClaims(standpoint);
  const remotePieces = createMemory(perspective);
  const interfacePiece = once(perspective.interface);
  const sumOfRemotes = createSum();
  const links = linksOf(standpoint);

  return ({ remotes }, health) => {
    const { admitted, far, guarded } = claims(remotes);
    const remote = sumOfRemotes(remotePieces(admitted, health));
    const bySlot = groupPeers(remote.peers);
    const shared = [...[...bySlot.keys()].map(interfacePiece), ...new Set(remote.shared)];
    const all = sum([...perspective.standing, ...shared, remote]);
    const { tunnels, peers: _peers, shared: _shared, sysctls, conditions, ...lists } = all;
    return {
      network: { ...lists, sysctls: Object.fromEntries(sysctls), nftables: perspective.ruleset(far) },
      devices: [...bySlot].map(([slot, peers]) => deviceOf(standpoint, slot, peers)),
      tunnels,
      links,
      echoes: perspective.echoes,
      conditions: distinct(conditions),
      remoteCidrs: guarded,
    };
  };
}

function perspectiveOf(standpoint: Standpoint): Perspective {
  const { node } = standpoint;
  return isGateway(node) ? gatewayPerspective(standpoint, node) : workerPerspective(standpoint);
}

/** What followed from one remote, and what was seen of its ways then. */
interface Memory {
  readonly view: View;
  readonly seen: readonly unknown[];
  readonly piece: Piece;
}

/** One piece for each remote; those of the last time are kept where nothing changed, and forgotten where the remote is gone. */
function createMemory(
  perspective: Perspective,
): (admitted: readonly Admitted[], health: Health) => readonly Piece[] {
  let memory: ReadonlyMap<Admitted, Memory> = new Map();

  function recall(admitted: Admitted, health: Health): Memory {
    const before = memory.get(admitted);
    const view = before?.view ?? perspective.view(admitted);
    const seen = view.seen(health);
    if (before !== undefined && sameElements(before.seen, seen)) return before;
    return { view, seen, piece: sum([view.routing(health), view.fixed]) };
  }

  return (admitted, health) => {
    const now = new Map(admitted.map((each) => [each, recall(each, health)]));
    memory = now;
    return Array.from(now.values(), ({ piece }) => piece);
  };
}

/** Sorted by slot; peers in the order of their clusters. */
function groupPeers(peers: readonly SlottedPeer[]): Map<Slot, SlottedPeer['peer'][]> {
  const bySlot: SlottedPeer['peer'][][] = [];
  for (const { slot, peer } of peers) (bySlot[slot] ??= []).push(peer);
  const sorted = new Map<Slot, SlottedPeer['peer'][]>();
  bySlot.forEach((list, slot) => sorted.set(slot, list));
  return sorted;
}

/** A node that lacks an address lacks it for each device that leads there: said once. */
function distinct(conditions: readonly Condition[]): readonly Condition[] {
  return [...new Map(conditions.map((each) => [`${each.code} ${each.about}`, each])).values()];
}

function deviceOf({ own }: Standpoint, slot: Slot, peers: DevicePlan['peers']): DevicePlan {
  const lane = slot % 8;
  // Base + 8 × lane + the other's ordinal: as many ports as there are interfaces, whatever the number of clusters.
  const listenPort = own.listenPort + 8 * lane + Math.floor(slot / 8);
  return { name: deviceName(slot), lane, listenPort, fwmark: MARK_OUTER, peers };
}
