import test from 'ava';
import { addCounts, NOTHING, summarise, TapReader } from './tap.ts';

const STREAM = `TAP version 13
ok 1 - parse() reads a dump
    # a log line
not ok 2 - apply() leaves nothing
  ---
    name: AssertionError
    at: x.test.ts:3
  ...
# probe › after.always hook
ok 3 - probe() asks the kernel # SKIP no root
---tty-stream-chunk-separator
1..3
# tests 3
# pass 1
# fail 1
`;

test('TapReader counts passed, failed and skipped tests', (t) => {
  const reader = new TapReader({ showPassed: false });
  const lines = STREAM.split('\n').map((line) => reader.read(line));
  const counts = lines.map((line) => line.counts).reduce(addCounts, NOTHING);
  t.deepEqual(counts, { passed: 1, failed: 1, skipped: 1 });
  t.is(summarise(counts), '1 passed, 1 failed, 1 skipped');
  t.deepEqual(lines.flatMap((line) => line.text ?? []).slice(0, 5), [
    '      # a log line',
    '  ✖ apply() leaves nothing',
    '      name: AssertionError',
    '      at: x.test.ts:3',
    '  - probe() asks the kernel # SKIP no root',
  ]);
});

test('TapReader tells what is worth repeating: failed tests with their details', (t) => {
  const reader = new TapReader({ showPassed: true });
  const lines = STREAM.split('\n').map((line) => reader.read(line));
  t.deepEqual(
    lines.filter((line) => line.isFailure).map((line) => line.text),
    ['  ✖ apply() leaves nothing', '      name: AssertionError', '      at: x.test.ts:3'],
  );
});

test('summarise() names skipped tests only where there are some', (t) => {
  t.is(summarise({ passed: 2, failed: 0, skipped: 0 }), '2 passed, 0 failed');
});
