// What other gateways of the own cluster say of whom they reach.
// This module is pure.

import type { Paths } from '#host';
import type { Health, LinkPlan } from '#topology';
import { linkId } from './probed.ts';

type Heard = Pick<Paths, 'isUp' | 'isHung' | 'told' | 'report'>;

/** Those that answer; undefined while none has said whom it reaches, or has had the time to. */
export function reachOfSiblings(links: Iterable<LinkPlan>, paths: Heard): Health['gateways'] {
  const all = [...links].filter(({ ordinal }) => ordinal !== undefined);
  if (all.length === 0) return undefined;
  const reaching = all.flatMap((link): [number, ReadonlySet<number>][] => {
    const id = linkId(link);
    const { reach } = paths.told(id) ?? {};
    const isKnown = link.ordinal !== undefined && reach !== undefined && paths.isUp(id);
    return isKnown ? [[link.ordinal, reach]] : [];
  });
  const isYoung = all.every((link) => {
    const id = linkId(link);
    return paths.told(id) === undefined && paths.report(id)?.hears !== 'no';
  });
  return isYoung ? undefined : new Map(reaching);
}

/** Indexes of the clusters that those lead to which do not drain themselves; what a daemon said that is gone since counts for nothing. */
export function relief(links: Iterable<LinkPlan>, paths: Heard): ReadonlySet<number> {
  const reached = [...links].flatMap((link) => {
    const id = linkId(link);
    const told = paths.told(id);
    const answers = paths.isUp(id) && !paths.isHung(id);
    const stands = link.ordinal !== undefined && told?.draining === false && answers;
    return stands ? [...(told.reach ?? [])] : [];
  });
  return new Set(reached);
}
