// The path machine.

import test from 'ava';
import * as fc from 'fast-check';
import { MISS_LIMIT, answered, kickDelay, missed, newPath, probeDelay, refused } from './liveness.ts';
import type { Path } from './liveness.ts';

test('answered() makes a new path up at once', (t) => {
  t.deepEqual(answered(newPath(0, false), 5, 3), { state: 'up', since: 5, misses: 0, rttMs: 3 });
});

test('answered() keeps the time since when a path is up', (t) => {
  t.is(answered(answered(newPath(0, false), 5, 3), 900, 3).since, 5);
});

test('missed() ends a path within 4 s of its last answer, and not by one miss fewer', (t) => {
  let path: Path = answered(newPath(0, false), 0, 1);
  let now = probeDelay(path, 1);
  for (let count = 1; count < MISS_LIMIT; count += 1) {
    now += probeDelay(missed(path, now), 1);
    path = missed(path, now);
    t.is(path.state, 'up');
  }
  now += probeDelay(path, 1);
  t.is(missed(path, now).state, 'down');
  t.true(now <= 4000, `${now} ms`);
});

test('missed() leaves a path that never answered unknown', (t) => {
  let path = newPath(0, false);
  for (let count = 0; count < 100; count += 1) path = missed(path, count);
  t.is(path.state, 'unknown');
  t.is(probeDelay(path, 1), 1000);
});

test('newPath() of a proven path is up until it has missed as often as any other', (t) => {
  let path = newPath(0, true);
  for (let count = 1; count < MISS_LIMIT; count += 1) path = missed(path, count);
  t.is(path.state, 'up');
  t.is(missed(path, 9).state, 'down');
});

test('probeDelay() waits for the answer of a path with a long way', (t) => {
  const far = missed(answered(newPath(0, false), 0, 400), 1000);
  t.is(probeDelay(far, 1), 600);
  t.is(probeDelay({ ...far, rttMs: 5000 }, 1), 1000);
  t.is(probeDelay({ ...far, rttMs: 20 }, 2), 500);
});

test('refused() keeps a path up, and says since when, until it is answered', (t) => {
  const first = refused(missed(answered(newPath(0, false), 10, 3), 20), 30);
  t.deepEqual(first, { state: 'up', since: 10, misses: 0, rttMs: 3, refusedSince: 30 });
  t.is(refused(missed(first, 40), 50).refusedSince, 30);
  t.deepEqual(answered(first, 60, 4), { state: 'up', since: 10, misses: 0, rttMs: 4 });
  t.is(refused(newPath(0, false), 5).state, 'up');
});

test('answered() and missed() agree with counting the last answers by hand', (t) => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 60 }), fc.boolean(), (events, proven) => {
      let path = newPath(0, proven);
      for (const [at, event] of events.entries()) path = event ? answered(path, at, 1) : missed(path, at);
      const misses = events.length - 1 - events.lastIndexOf(true);
      const wasUp = proven || events.includes(true);
      // A path that was up is down exactly when some run of misses reached the limit with no answer after it.
      const wanted = !wasUp ? 'unknown' : misses >= MISS_LIMIT ? 'down' : 'up';
      t.is(path.state, wanted);
      t.is(path.misses, misses);
    }),
    { seed: 7 },
  );
});

test('kickDelay() doubles up to a minute and never falls in step', (t) => {
  t.deepEqual(
    [0, 1, 2, 9].map((attempt) => kickDelay(attempt, 0)),
    [1000, 2000, 4000, 64_000],
  );
  t.is(kickDelay(0, 0.5), 1250);
});
