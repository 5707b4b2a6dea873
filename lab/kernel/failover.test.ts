import test from 'ava';
import { Bed } from '../failover/bed.ts';
import { clock } from '../failover/clock-rows.ts';
import { countFault } from '../failover/counting.ts';
import { ROWS } from '../failover/rows.ts';

// One variant of each fault, with no more hosts, lanes and traffic than an emulated machine has time for: a switch is the kernel's, however much it moves.
const LIGHT = { flows: 4, rate: 100, connections: 4, writeMs: 200 } as const;
/** Enough for every switch to be over, on a machine that takes five times as long for each second. */
const MOST_MS = 4000;
const AFTER_MS = 1000;
const CHOSEN = [
  'gateway-dead/remote',
  'tunnel-killed/device',
  'daemon-killed/kill',
  'path-dead/loss',
  'gray/forward-drop',
  'mtu/1296',
  'worker-link/direct',
  'site-dead/all',
  'flapping/path',
  'broker-gone/all',
  'planned/keys',
  'suspended/gateway',
  'starved/cpu',
];
const variants = [...ROWS, clock].flatMap((row) => row.variants);
const chosen = variants.filter(
  ({ id }) => CHOSEN.includes(id) || clock.variants.some((each) => each.id === id),
);

let bed: Bed;

test.before(async () => {
  bed = await Bed.build('direct', { workers: 1, lanes: 1 });
});

test.after.always(async () => {
  await bed?.[Symbol.asyncDispose]();
});

for (const variant of chosen)
  test.serial(`${variant.id} costs no more than it may on kernel WireGuard: ${variant.what}`, async (t) => {
    await bed.whole();
    const light = {
      ...variant,
      afterMs: Math.min(variant.afterMs ?? AFTER_MS, AFTER_MS),
      traffic: { ...variant.traffic, ...LIGHT },
    };
    const { run, found } = await countFault(bed.lab, light, { mostMs: MOST_MS });
    t.log(`${run.lost} lost, ${run.hit} flows hit, ${JSON.stringify(run.figures)}`);
    t.deepEqual(found, []);
  });
