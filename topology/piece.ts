// A part of a host's plan; a plan is the sum of its pieces.
// This module is pure.

import type { Condition } from '#lib/conditions';
import type { InterfaceAddress, Link, Neighbour, Nexthop, NexthopGroup, Route, Rule } from '#lib/linux';
import type { PeerConfig } from '#lib/wireguard';
import type { TunnelPlan } from './host-plan.ts';
import type { Slot } from './nexthops.ts';

/** Lists that a piece adds to, in the plan's own words. */
export interface Lists {
  readonly links: Link;
  readonly addresses: InterfaceAddress;
  readonly neighbours: Neighbour;
  readonly nexthops: Nexthop;
  readonly groups: NexthopGroup;
  readonly routes: Route;
  readonly rules: Rule;
  readonly sysctls: readonly [key: string, value: string];
  readonly tunnels: TunnelPlan;
  readonly peers: SlottedPeer;
  readonly conditions: Condition;
}

/** A peer, and the interface that it belongs to. */
export interface SlottedPeer {
  readonly slot: Slot;
  readonly peer: PeerConfig;
}

export type Piece = { readonly [K in keyof Lists]?: readonly Lists[K][] };
export type Sum = { readonly [K in keyof Lists]: readonly Lists[K][] };

/** All pieces' lists, one behind the other. */
export function sum(pieces: readonly Piece[]): Sum {
  return {
    links: gather(pieces, 'links'),
    addresses: gather(pieces, 'addresses'),
    neighbours: gather(pieces, 'neighbours'),
    nexthops: gather(pieces, 'nexthops'),
    groups: gather(pieces, 'groups'),
    routes: gather(pieces, 'routes'),
    rules: gather(pieces, 'rules'),
    sysctls: gather(pieces, 'sysctls'),
    tunnels: gather(pieces, 'tunnels'),
    peers: gather(pieces, 'peers'),
    conditions: gather(pieces, 'conditions'),
  };
}

function gather<K extends keyof Lists>(pieces: readonly Piece[], list: K): Lists[K][] {
  const all: Lists[K][] = [];
  for (const piece of pieces) {
    const part = piece[list];
    if (part !== undefined) for (const element of part) all.push(element);
  }
  return all;
}
