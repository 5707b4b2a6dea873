import test from 'ava';
import { Bed } from '../failover/bed.ts';
import type { BedKind } from '../failover/bed.ts';
import { countFault } from '../failover/counting.ts';
import { ROWS } from '../failover/rows.ts';

// Each fault of the table once.

const variants = ROWS.filter(({ isReference }) => isReference !== true).flatMap((row) => row.variants);

/** Enough for every switch to be over. */
const MOST_MS = 5000;

let bed: Bed | undefined;

async function bedOf(kind: BedKind): Promise<Bed> {
  if (bed?.kind !== kind) {
    await bed?.[Symbol.asyncDispose]();
    bed = undefined;
    bed = await Bed.build(kind);
  }
  await bed.whole();
  return bed;
}

test.after.always(async () => {
  await bed?.[Symbol.asyncDispose]();
});

/** A machine that has other things to do is late now and then: what a fault costs, it costs twice. */
const ATTEMPTS = 2;

for (const variant of variants.toSorted((a, b) => (a.bed ?? '').localeCompare(b.bed ?? '')))
  test.serial(`${variant.id} costs no more than it may: ${variant.what}`, async (t) => {
    for (let left = ATTEMPTS; ; left -= 1) {
      const { lab } = await bedOf(variant.bed ?? 'direct');
      const { run, found } = await countFault(lab, variant, { mostMs: MOST_MS });
      t.log(`${run.lost} lost, ${run.hit} flows hit, ${JSON.stringify(run.figures)}`);
      if (found.length > 0 && left > 1) continue;
      t.deepEqual(found, []);
      return;
    }
  });
