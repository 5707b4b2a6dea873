// What a far end was last heard to say of itself.
// This module is pure.

import type { Flags } from '#lib/probe';
import { isSameSet } from '#lib/same';

export interface Told extends Pick<Flags, 'impaired' | 'draining' | 'blocked'> {
  /** Indexes of the clusters that a gateway of ours reaches; absent while it has not said. */
  readonly reach?: ReadonlySet<number>;
}

const FLAGS = ['impaired', 'draining', 'blocked'] as const;
const NOTHING_TOLD: Told = { impaired: false, draining: false, blocked: false };

/** Nothing else of what is said, and nothing bad that is not. */
export function toldOf({ impaired = false, draining = false, blocked = false, reach }: Partial<Told>): Told {
  return { impaired, draining, blocked, ...(reach && { reach }) };
}

/** Who has said nothing yet has said nothing bad. */
export function isSameTold(before: Told = NOTHING_TOLD, told: Told): boolean {
  return FLAGS.every((flag) => told[flag] === before[flag]) && isSameReach(before.reach, told.reach);
}

function isSameReach(a: Told['reach'], b: Told['reach']): boolean {
  return a === undefined || b === undefined ? a === b : isSameSet(a, b);
}
