// The heart: a fleet and a host in, the whole wanted network state of that host out.
// This module is pure.

import type { Admitted } from './claims.ts';
import { createClaims } from './claims.ts';
import { MARK_OUTER } from '#lib/constants';
import type { Fleet, Host } from './fleet.ts';
import { gatewayPerspective } from './gateway.ts';
import type { DevicePlan, HostPlan, TunnelPlan } from './host-plan.ts';
import type { Slot } from './nexthops.ts';
import type { Perspective, View } from './perspective.ts';
import { sum } from './piece.ts';
import type { Piece, SlottedPeer } from './piece.ts';
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
  let remembered: { readonly key: string; readonly plan: Planner } | undefined;
  return (fleet, host) => {
    const key = JSON.stringify([fleet.fabric, fleet.own, { ...host, healthy: [] }]);
    if (remembered?.key !== key) remembered = { key, plan: plannerFrom(standpointOf(fleet, host)) };
    return remembered.plan(fleet, host);
  };
}

/** Plans for as long as the own cluster and the host stay what they are. */
function plannerFrom(standpoint: Standpoint): Planner {
  const perspective = perspectiveOf(standpoint);
  const claims = createClaims(standpoint);
  const remotePieces = createMemory(perspective);
  const interfaces = new Map<Slot, Piece>();

  function interfacePiece(slot: Slot): Piece {
    const piece = interfaces.get(slot) ?? perspective.interface(slot);
    interfaces.set(slot, piece);
    return piece;
  }

  return ({ remotes }, { healthy }) => {
    const { admitted, far, guarded } = claims(remotes);
    const remote = admitted.flatMap((each) => remotePieces(each, healthy));
    const bySlot = groupPeers(remote);
    const all = sum([...perspective.standing, ...[...bySlot.keys()].map(interfacePiece), ...remote]);
    const { tunnels, peers: _, sysctls, conditions, ...lists } = all;
    return {
      network: { ...lists, sysctls: Object.fromEntries(sysctls), nftables: perspective.ruleset(far) },
      devices: [...bySlot].map(([slot, peers]) => deviceOf(standpoint, slot, peers)),
      tunnels,
      conditions,
      remoteCidrs: guarded,
    };
  };
}

function perspectiveOf(standpoint: Standpoint): Perspective {
  const { node } = standpoint;
  return isGateway(node) ? gatewayPerspective(standpoint, node) : workerPerspective(standpoint);
}

/** Remembers each remote's pieces, and which of its tunnels answered when they were made. */
function createMemory(
  perspective: Perspective,
): (admitted: Admitted, healthy: Host['healthy']) => readonly Piece[] {
  interface Memory {
    readonly view: View;
    readonly answering: readonly TunnelPlan[];
    readonly pieces: readonly Piece[];
  }
  const memory = new WeakMap<Admitted, Memory>();
  return (admitted, healthy) => {
    const before = memory.get(admitted);
    const view = before?.view ?? perspective.view(admitted);
    const answering = view.tunnels.filter(({ id }) => healthy.has(id));
    if (before !== undefined && sameElements(before.answering, answering)) return before.pieces;
    const pieces = [view.routing(answering), view.fixed];
    memory.set(admitted, { view, answering, pieces });
    return pieces;
  };
}

function sameElements(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((element, at) => element === b[at]);
}

/** Sorted by slot; peers in the order of their clusters. */
function groupPeers(pieces: readonly Piece[]): Map<Slot, SlottedPeer['peer'][]> {
  const bySlot: SlottedPeer['peer'][][] = [];
  for (const { peers = [] } of pieces) {
    for (const { slot, peer } of peers) (bySlot[slot] ??= []).push(peer);
  }
  const sorted = new Map<Slot, SlottedPeer['peer'][]>();
  bySlot.forEach((peers, slot) => sorted.set(slot, peers));
  return sorted;
}

function deviceOf({ own }: Standpoint, slot: Slot, peers: DevicePlan['peers']): DevicePlan {
  const lane = slot % 8;
  // Base + 8 × lane + the other's ordinal: as many ports as there are interfaces, whatever the number of clusters.
  const listenPort = own.listenPort + 8 * lane + Math.floor(slot / 8);
  return { name: deviceName(slot), lane, listenPort, fwmark: MARK_OUTER, peers };
}
