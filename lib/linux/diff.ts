// The one way in which a wanted list is compared with what stands.
// This module is pure.

import type { Diff } from './changes.ts';

export interface Same<W, H> {
  readonly key: (thing: W) => string;
  readonly heldKey: (thing: H) => string;
  readonly same: (held: H, wanted: W) => boolean;
}

/**
 * Linear in both lists, in their order. Where several that stand have one key, the one that is as wanted stays (else
 * the first is changed) and the others are removed.
 */
export function diff<W, H>(have: readonly H[], want: readonly W[], by: Same<W, H>): Diff<W, H> {
  const held = new Map<string, H[]>();
  for (const thing of have) {
    const key = by.heldKey(thing);
    const list = held.get(key);
    if (list === undefined) held.set(key, [thing]);
    else list.push(thing);
  }
  const add: W[] = [];
  const change: { from: H; to: W }[] = [];
  const kept = new Set<H>();
  for (const thing of want) {
    const list = held.get(by.key(thing));
    const from = list?.find((one) => by.same(one, thing)) ?? list?.[0];
    if (from === undefined) add.push(thing);
    else {
      kept.add(from);
      if (!by.same(from, thing)) change.push({ from, to: thing });
    }
  }
  return { add, change, remove: have.filter((thing) => !kept.has(thing)) };
}
