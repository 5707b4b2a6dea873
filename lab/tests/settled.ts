// What a clusterset is once it has come to rest: every pod reaches every other by its own address, and no kernel differs from its plan.

import { setTimeout as sleep } from 'node:timers/promises';
import { measureMatrix } from '#lab';
import type { Lab, MatrixOptions } from '#lab';
import { CommandError } from '#lib/linux';
import * as v from 'valibot';

/** For whatever comes by itself, on a machine that has other things to do. */
const PATIENCE_MS = 90_000;

/** Asks until nothing is missing. Rejects with what still is. */
export async function until(missing: () => Promise<readonly string[]>): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; ; await sleep(100)) {
    const found = await missing();
    if (found.length === 0) return;
    if (Date.now() > end) throw new Error(`Waited in vain: ${found.slice(0, 12).join('; ')}`);
  }
}

/** `east/pod-a → west/pod-a v4: timeout`: each pair that is not reached, or not by its own address. */
export async function missedPairs(lab: Lab, options: MatrixOptions = {}): Promise<string[]> {
  const pairs = await measureMatrix(lab, options);
  if (pairs.length === 0) return ['there are no pairs'];
  return pairs
    .filter(({ kept }) => !kept)
    .map(({ from, to, family, seenAs, error }) => `${from.name} → ${to.name} ${family}: ${seenAs ?? error}`);
}

/** What `clusterctl plan` would change on these nodes; a word on those where it cannot say. */
export async function unplanned(lab: Lab, places: readonly string[]): Promise<string[]> {
  const all = await Promise.all(
    places.map(async (place) => {
      try {
        const said = await lab.place(place).exec(['clusterctl', 'plan', '-o', 'json']);
        return /^\s*\[\s*\]\s*$/.test(said) ? [] : [`${place}: ${said.trim()}`];
      } catch (error) {
        if (error instanceof CommandError) return [`${place}: ${error.stderr.trim()}`];
        throw error;
      }
    }),
  );
  return all.flat();
}

const Paths = v.array(
  v.looseObject({
    path: v.string(),
    state: v.string(),
    used: v.optional(v.boolean()),
    why: v.optional(v.string()),
  }),
);

/** Paths that carry nothing: one that has failed again and again waits for up to a minute, and one whose far end doubts it until it is proven. */
export async function waiting(lab: Lab, places: readonly string[]): Promise<string[]> {
  const all = await Promise.all(
    places.map(async (place) => {
      const said = await lab.place(place).exec(['clusterctl', 'show', 'paths', '-o', 'json']);
      const paths = v.parse(Paths, JSON.parse(said));
      return paths
        .filter(({ state, used }) => state !== 'up' || used === false)
        .map(({ path, state, why }) => `${place}: ${path} ${state}, ${why}`);
    }),
  );
  return all.flat();
}

/** Both, for a whole lab: first the packets, which cost less to ask. */
export async function settle(lab: Lab, options: MatrixOptions = {}): Promise<void> {
  const places = lab.nodes
    .filter(({ place }) => options.sites?.includes(place.split('/')[0] ?? '') ?? true)
    .map(({ place }) => place);
  await until(() => missedPairs(lab, { timeoutMs: 1500, ...options }));
  await until(() => unplanned(lab, places));
}
