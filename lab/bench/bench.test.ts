import test from 'ava';
import { alternate, atLeast, atMost, quantile, ratioRow, valueRow } from './benchmark.ts';
import { Staircase } from './staircase.ts';
import { renderTable } from './table.ts';

test('quantile() takes the nearest rank', (t) => {
  t.is(quantile([5, 1, 3], 0.5), 3);
  t.is(quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.99), 10);
  t.throws(() => quantile([], 0.5), { instanceOf: RangeError });
});

test('alternate() measures both in turn', async (t) => {
  const order: string[] = [];
  const note = (name: string, value: number) => async (): Promise<number> => {
    order.push(name);
    return await Promise.resolve(value);
  };
  t.deepEqual(await alternate(2, note('ours', 2), note('theirs', 4)), { value: 2, reference: 4 });
  t.deepEqual(order, ['theirs', 'ours', 'theirs', 'ours']);
});

test('renderTable() says the ratio only where it is what counts', (t) => {
  const rows = [
    ratioRow({
      what: 'TCP',
      unit: 'Mbit/s',
      value: 950,
      reference: 1000,
      referenceIs: 'by hand',
      target: atLeast(0.9),
    }),
    valueRow({
      what: 'memory',
      unit: 'MiB',
      value: 80.4,
      reference: 41,
      referenceIs: 'bare Node',
      target: atMost(75),
    }),
  ];
  t.deepEqual(renderTable(rows).split('\n'), [
    'what    value       reference         ratio  target',
    'TCP     950 Mbit/s  1000 (by hand)    0.950  ≥ 0.9   met',
    'memory  80.4 MiB    41.0 (bare Node)  –      ≤ 75    missed',
  ]);
});

test('Staircase finds the level at which things begin to fail, spoilt trials or not', (t) => {
  for (const limit of [7, 90, 1234]) {
    const stairs = new Staircase({ start: 20 });
    for (let trial = 0; trial < 30; trial += 1) stairs.tell(stairs.level <= limit && trial % 10 !== 7);
    t.true(Math.abs(stairs.threshold / limit - 1) < 0.15, `${stairs.threshold} for ${limit}`);
  }
  t.throws(() => new Staircase({ start: 20 }).threshold, { instanceOf: RangeError });
});
