import test from 'ava';
import { isSameList, isSameSet } from './mod.ts';

test('isSameList() compares lengths and each element with that in its place', (t) => {
  t.true(isSameList([], []));
  t.true(isSameList([1, 2], [1, 2]));
  for (const other of [[2, 1], [1], [1, 2, 3], []]) t.false(isSameList([1, 2], other));
  t.false(isSameList([{}], [{}]), 'by identity');
  t.true(
    isSameList([{}], [{}], () => true),
    'or as it is told',
  );
});

test('isSameSet() compares what sets hold, whatever its order', (t) => {
  t.true(isSameSet(new Set(), new Set()));
  t.true(isSameSet(new Set([1, 2]), new Set([2, 1])));
  for (const other of [[1], [1, 3], [1, 2, 3]]) t.false(isSameSet(new Set([1, 2]), new Set(other)));
});
