import test from 'ava';
import { netemWords } from './netem.ts';

test('netemWords() names what is wrong with a line, and nothing else', (t) => {
  t.is(netemWords({}).join(' '), 'limit 100000');
  t.is(netemWords({ lossPercent: 2.5 }).join(' '), 'limit 100000 loss 2.5%');
  t.is(
    netemWords({ delayMs: 20, jitterMs: 5, duplicatePercent: 1, reorderPercent: 25 }).join(' '),
    'limit 100000 delay 20ms 5ms duplicate 1% reorder 25%',
  );
});

test('netemWords() refuses what no line is like', (t) => {
  const refusal = (impairment: Parameters<typeof netemWords>[0]): string | undefined =>
    t.throws(() => netemWords(impairment), { instanceOf: RangeError })?.message;
  t.is(refusal({ lossPercent: 101 }), 'Cannot impair a line: lossPercent is 101');
  t.is(refusal({ delayMs: Number.NaN }), 'Cannot impair a line: a delay of NaN ms cannot vary by 0 ms');
  t.is(
    refusal({ reorderPercent: 5 }),
    'Cannot impair a line: only packets that skip a delay overtake others',
  );
});
