import process from 'node:process';
import { Lab, startClusterset } from '#lab';
import test from 'ava';
import { Bed } from '../failover/bed.ts';
import { clock } from '../failover/clock-rows.ts';
import { countFault } from '../failover/counting.ts';
import type { Variant } from '../failover/row.ts';
import { ROWS } from '../failover/rows.ts';

// No more hosts and lanes than an emulated machine has time for. One pod sends the traffic, the other one finds out what it is told.
const name = `kf${process.pid % 100_000}`;
const site = { gateways: 2, workers: 1, podsPerWorker: 2, hostProcesses: 0, lanes: 1 } as const;
let bed: Bed;

test.before(async () => {
  const lab = await Lab.up({ sites: { east: site, west: site } }, { name });
  await startClusterset(lab);
  bed = new Bed('direct', lab, site.lanes);
});

test.after.always(async () => {
  await Lab.down(name);
});

/** A tenth of the failover table's traffic: a switch is the kernel's, however much it moves. */
const LIGHT = { flows: 4, rate: 100, connections: 4, writeMs: 200 } as const;
/** Enough for every switch to be over, on a machine that takes several times as long for each second. Rows of its own say themselves how long they take. */
const MOST_MS = 4000;
const AFTER_MS = 1000;
/**
 * One variant of each row. First those that no path falls by, last those that all do: a path has to prove itself the longer, the more
 * often it fell, and here that is waited for.
 */
const CHOSEN = [
  'daemon-killed/kill',
  'broker-gone/all',
  'planned/keys',
  'clock/jump',
  'starved/cpu',
  'suspended/gateway',
  'mtu/1296',
  'worker-link/direct',
  'gray/forward-drop',
  'path-dead/loss',
  'tunnel-killed/device',
  'gateway-dead/remote',
  'clock/created-anew',
  'flapping/path',
  'site-dead/all',
];
const variants = new Map([...ROWS, clock].flatMap((row) => row.variants.map((each) => [each.id, each])));

function chosen(id: string): Variant {
  const variant = variants.get(id);
  if (variant === undefined) throw new RangeError(`Cannot break "${id}": no row has it`);
  return variant;
}

for (const variant of CHOSEN.map(chosen))
  test(`${variant.id} ends within its counts: ${variant.what}`, async (t) => {
    await bed.whole();
    const afterMs = Math.min(variant.afterMs ?? AFTER_MS, AFTER_MS);
    const light = { ...variant, afterMs, traffic: { ...variant.traffic, ...LIGHT } };
    const mostMs = clock.variants.includes(variant) ? Infinity : MOST_MS;
    const { run, found } = await countFault(bed.lab, light, { mostMs });
    t.log(`${run.lost} lost, ${run.hit} flows and connections hit, ${JSON.stringify(run.figures)}`);
    t.deepEqual(found, []);
  });

test('Each row of the failover table has a variant here', (t) => {
  const rows = [...ROWS.filter(({ isReference }) => isReference !== true), clock];
  t.deepEqual(new Set(CHOSEN.map((id) => id.split('/')[0])), new Set(rows.map(({ id }) => id)));
});
