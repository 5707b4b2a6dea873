import test from 'ava';
import { Beds } from '../failover/beds.ts';
import { countFault, type Counted } from '../failover/counting.ts';
import type { Variant } from '../failover/row.ts';
import { ROWS } from '../failover/rows.ts';

// Each fault of the table once, in counts: how long each takes is for the benchmark to say.

const variants = ROWS.filter(({ isReference }) => isReference !== true).flatMap((row) => row.variants);

/** Enough for every switch to be over. */
const MOST_MS = 5000;

const beds = new Beds();

test.after.always(async () => {
  await beds.clear();
});

/** A machine that has other things to do is late now and then: what a fault costs, it costs twice. What may cost nothing may not even once. */
function attemptsFor({ limits }: Variant): number {
  return limits['lost'] === 0 ? 1 : 2;
}

async function counted(variant: Variant): Promise<Counted> {
  const bed = await beds.get(variant);
  await bed.whole();
  try {
    return await countFault(bed.lab, variant, { mostMs: MOST_MS });
  } finally {
    await beds.used(variant);
  }
}

for (const variant of variants.toSorted((a, b) => (a.bed ?? '').localeCompare(b.bed ?? '')))
  test.serial(`${variant.id} ends within its counts: ${variant.what}`, async (t) => {
    for (let left = attemptsFor(variant); ; left -= 1) {
      const { run, found } = await counted(variant);
      const met = `${run.hit} flows and connections hit, ${run.dropped ?? 0} packets dropped`;
      t.log(
        `${run.lost} lost, ${met}, ${JSON.stringify(run.figures)}${found.map((each) => `; ${each}`).join('')}`,
      );
      if (found.length > 0 && left > 1) continue;
      t.deepEqual(found, []);
      return;
    }
  });
