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
  /** What several remotes need: one object each, however many refer to it. */
  readonly shared: Piece;
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
    shared: gather(pieces, 'shared'),
    conditions: gather(pieces, 'conditions'),
  };
}

const CHUNK = 64;

/**
 * A {@link sum} of pieces most of which are the same objects as the last time: it keeps the sums of runs of them, so
 * that only the runs are added up, and those with a new piece in them.
 */
export function createSum(): (pieces: readonly Piece[]) => Sum {
  const runs: { readonly pieces: readonly Piece[]; readonly sum: Sum }[] = [];
  return (pieces) => {
    const sums: Sum[] = [];
    for (let from = 0; from < pieces.length; from += CHUNK) {
      const at = from / CHUNK;
      const run = pieces.slice(from, from + CHUNK);
      const held = runs[at];
      const kept =
        held !== undefined && sameElements(held.pieces, run) ? held : { pieces: run, sum: sum(run) };
      runs[at] = kept;
      sums.push(kept.sum);
    }
    return sum(sums);
  };
}

/** The function, which makes each thing only once. */
export function once<K, V>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>();
  return (key) => {
    const value = made.get(key) ?? make(key);
    made.set(key, value);
    return value;
  };
}

/** Whether two lists hold the same objects in the same places. */
export function sameElements(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((element, at) => element === b[at]);
}

function gather<K extends keyof Lists>(pieces: readonly Piece[], list: K): Lists[K][] {
  const parts: (readonly Lists[K][])[] = [];
  for (const piece of pieces) {
    const part = piece[list];
    if (part !== undefined && part.length > 0) parts.push(part);
  }
  const none: Lists[K][] = [];
  return none.concat(...parts);
}
