// Which tunnels carry packets, of those that answer.
// This module is pure.

import { clusterOf } from '#topology';
import type { TunnelId, TunnelPlan } from '#topology';

/** What is known of one tunnel that answers. */
export interface Standing {
  /** Nodes behind its gateway do not answer through it. */
  readonly deaf: boolean;
  /** It carries no packets of the size that IPv6 demands. */
  readonly narrow: boolean;
  /** Its gateway says that it does not reach all of its nodes. */
  readonly impaired: boolean;
  /** Its gateway, or its lane, will be gone soon. */
  readonly draining: boolean;
  /** Its gateway gets no answers through this one: own nodes leave it, and packets that are here have no better way. */
  readonly blocked: boolean;
  /** Only its far kernel answers: its daemon hears of nothing. */
  readonly stopped: boolean;
}

/**
 * All that answer, but for those that are narrow, or whose gateway is deaf, impaired or drains: these are the last resort of
 * a cluster that has no others. A packet is better sent into doubt than dropped.
 */
export function usable(
  tunnels: readonly Pick<TunnelPlan, 'id'>[],
  standing: (id: TunnelId) => Standing | undefined,
): ReadonlySet<TunnelId> {
  const best = new Map<string, { rank: number; ids: TunnelId[] }>();
  for (const { id } of tunnels) {
    const seen = standing(id);
    if (seen === undefined) continue;
    const rank = RANKS.reduce((sum, flag) => 2 * sum + Number(seen[flag]), 0);
    const cluster = clusterOf(id);
    const held = best.get(cluster);
    if (held === undefined || rank < held.rank) best.set(cluster, { rank, ids: [id] });
    else if (rank === held.rank) held.ids.push(id);
  }
  return new Set([...best.values()].flatMap(({ ids }) => ids));
}

/** From the worst. */
const RANKS = ['deaf', 'impaired', 'narrow', 'draining'] as const;
