// The pieces that the detector is made of, each against a slow and obvious model of it.

import test from 'ava';
import * as fc from 'fast-check';
import { Budget } from './budget.ts';
import { describeChange } from './change.ts';
import type { Change } from './change.ts';
import { UNDAMPED, failed, proofMs } from './damping.ts';
import { kickDelayMs } from './kick.ts';
import { ON_TIME, deadline, lateness } from './lateness.ts';
import { confirmed, newMtu, probed, unconfirmed } from './mtu.ts';
import type { Mtu } from './mtu.ts';
import { paceOf, spread } from './pace.ts';
import {
  answered,
  asked,
  ejected,
  expired,
  heard,
  hearsOf,
  leftAlone,
  missLimit,
  newPath,
  refused,
} from './path.ts';
import type { Path } from './path.ts';
import { Queues } from './queues.ts';
import type { Waiting } from './queues.ts';
import { patienceMs, sampled } from './rtt.ts';
import { nextState } from './state.ts';
import type { PathEvent, PathState } from './state.ts';
import { TALLY_SIZE, judge, lostAfter, lostCount, newTally, tallied } from './tally.ts';
import { isKicked, newGroup, newWatched, nextLook } from './watched.ts';
import { Wheel } from './wheel.ts';
import type { Turning } from './wheel.ts';

const STATES: readonly PathState[] = ['unknown', 'up', 'down', 'held'];
const EVENTS: readonly PathEvent[] = ['answer', 'refusal', 'silence', 'deaf', 'lossy', 'steady', 'alone'];

test('nextState() is what the drawing says, for every state and event', (t) => {
  const table = STATES.map((state) => [state, ...EVENTS.map((event) => nextState(state, event))].join(' '));
  t.deepEqual(
    [`        ${EVENTS.join(' ')}`, ...table],
    [
      '        answer refusal silence deaf lossy steady alone',
      'unknown up up unknown unknown unknown unknown unknown',
      'up up up down down down up up',
      'down held held down down down down down',
      'held held held down down held up up',
    ],
  );
});

const moment = (now: number, isAlone = false): { now: number; late: typeof ON_TIME; isAlone: boolean } => ({
  now,
  late: ON_TIME,
  isAlone,
});

/** A path in each state, by ordinary means. */
function pathIn(state: PathState): Path {
  const up = newPath(0, true);
  const down = heard(up, 'no', moment(10));
  const paths: Record<PathState, Path> = {
    unknown: newPath(0, false),
    up,
    down,
    held: answered(asked(down, 20), { sequence: 1, hears: 'yes' }, moment(21)),
  };
  return paths[state];
}

/** What a path is after `asks` asks that nobody answered, each lost before the next one left. */
function silent(path: Path, asks: number): Path {
  let next = path;
  for (let count = 0; count < asks; count += 1) {
    next = expired(asked(next, 100 + 1000 * count), moment(1100 + 1000 * count));
  }
  return next;
}

test('a path moves as its state machine says, whatever it is told in whatever state', (t) => {
  const acts: Record<string, [PathEvent | undefined, (path: Path) => Path]> = {
    'an answer': [
      'answer',
      (path) => answered(asked(path, 50), { sequence: path.sequence + 1, hears: 'yes' }, moment(60)),
    ],
    'an answer that hears nothing': [
      'deaf',
      (path) => answered(asked(path, 50), { sequence: path.sequence + 1, hears: 'no' }, moment(60)),
    ],
    'an ask that hears nothing': ['deaf', (path) => heard(path, 'no', moment(60))],
    'an ask that hears': [undefined, (path) => heard(path, 'yes', moment(60))],
    'a refusal': ['refusal', (path) => refused(path, moment(60))],
    'three losses': [undefined, (path) => silent(path, 3)],
    'four losses': ['silence', (path) => silent(path, 4)],
    ejection: ['lossy', (path) => ejected(path, moment(60))],
    loneliness: [undefined, (path) => leftAlone(path, moment(60))],
  };
  for (const state of STATES) {
    const path = pathIn(state);
    t.is(path.state, state);
    for (const [name, [event, act]] of Object.entries(acts)) {
      const wanted = event === undefined ? state : nextState(state, event);
      t.is(act(path).state, wanted, `${name} while ${state}`);
    }
  }
});

test('a path whose far kernel was quicker than its daemon hears the daemon all the same', (t) => {
  const refusedFirst = refused(asked(newPath(0, true), 10), moment(20));
  t.is(hearsOf(refusedFirst), 'unknown');
  t.is(missLimit(refusedFirst), 4, 'one refusal shows no daemon that is stopped');
  const path = answered(refusedFirst, { sequence: 1, hears: 'yes' }, moment(21));
  t.is(hearsOf(path), 'yes');
  t.is(path.rtt?.smoothMs, 11);
  const stopped = [30, 40, 50, 60].reduce((next, now) => refused(asked(next, now - 5), moment(now)), path);
  t.is(missLimit(stopped), 3);
  t.is(missLimit(answered(stopped, { sequence: 5, hears: 'yes' }, moment(61))), 4);
});

test('a path over a long way is not ended before its far kernel could have answered a knock', (t) => {
  let path = newPath(0, true);
  for (const at of [100, 175, 250, 325]) path = asked(path, at);
  const lost = expired(path, moment(2000));
  t.deepEqual([lost.state, lost.misses], ['up', 4]);
  t.is(expired(asked(lost, 2001), moment(4000)).state, 'down');
  t.is(expired(refused(asked(lost, 2001), moment(2300)), moment(4000)).state, 'up');
});

test('a path that is the only one is left later, by the clock, and does not say before that it hears nothing', (t) => {
  const near = answered(asked(newPath(0, true), 10), { sequence: 1, hears: 'yes' }, moment(11));
  const ask = (asks: number, everyMs: number, isAlone = true): Path => {
    let path = near;
    for (let count = 0; count < asks; count += 1) {
      const at = 100 + everyMs * count;
      path = asked(expired(path, moment(at, isAlone)), at);
    }
    return path;
  };
  const lose = (...given: Parameters<typeof ask>): Path => {
    const path = ask(...given);
    return expired(path, moment(path.asks.at(-1)?.overdueAt ?? 0, given[2] ?? true));
  };
  t.deepEqual(
    [3, 4].map((asks) => lose(asks, 50, false).state),
    ['up', 'down'],
  );
  for (const [everyMs, enough] of [
    [25, 17],
    [50, 9],
    [80, 6],
    [1000, 6],
    [2500, 6],
  ] as const) {
    const before = lose(enough - 1, everyMs);
    t.is(before.state, 'up', `every ${everyMs} ms`);
    t.not(hearsOf(before), 'no');
    const after = lose(enough, everyMs);
    t.is(after.state, 'down', `every ${everyMs} ms`);
    t.is(hearsOf(after), 'no');
  }
  t.is(ask(19, 25).state, 'up', 'those that are out are not lost yet');
});

test('a path that is the only one, whose daemon is stopped, is left after three asks like others', (t) => {
  let path = newPath(0, true);
  for (const now of [10, 20, 30, 40]) path = refused(asked(path, now - 5), moment(now, true));
  const lose = (asks: number): Path =>
    Array.from({ length: asks }, (_, count) => 1000 + 1100 * count).reduce(
      (next, at) => expired(asked(next, at), moment(at + 1000, true)),
      path,
    );
  t.deepEqual(
    [2, 3].map((asks) => lose(asks).state),
    ['up', 'down'],
  );
});

test('a path that was left for its loss is used again when it is left alone', (t) => {
  const left = ejected(newPath(0, true), moment(10));
  t.is(leftAlone(left, moment(20)).state, 'down', 'not before it has answered again');
  const held = answered(asked(left, 20), { sequence: 1, hears: 'yes' }, moment(21));
  t.is(leftAlone(held, moment(22)).state, 'up');
});

test('a held path is up after a run of answers as long as its proof, and no answer sooner; after three of them where it is alone', (t) => {
  for (const [isAlone, proof] of [
    [false, 1000],
    [true, 100],
  ] as const) {
    let path = pathIn('held');
    for (let now = 71; path.state === 'held' && now < 5000; now += 50) {
      path = answered(
        asked(path, now - 1),
        { sequence: path.sequence + 1, hears: 'yes' },
        moment(now, isAlone),
      );
    }
    t.is(path.state, 'up');
    t.is(path.since, 21 + proof);
  }
});

test('a loss begins the run of a held path anew', (t) => {
  const lost = expired(asked(pathIn('held'), 100), moment(2000));
  t.is(lost.state, 'held');
  t.is(lost.run, undefined);
  const next = answered(asked(lost, 2100), { sequence: lost.sequence + 1, hears: 'yes' }, moment(2101));
  t.is(next.run?.since, 2101);
});

test('a late answer takes its loss back', (t) => {
  const lost = silent(newPath(0, true), 3);
  t.deepEqual([lost.misses, lostCount(lost.tally)], [3, 3]);
  const late = answered(lost, { sequence: 2, hears: 'yes' }, moment(5100));
  t.deepEqual([late.misses, lostCount(late.tally)], [1, 2], 'what was asked after it is still out');
  t.is(answered(late, { sequence: 2, hears: 'yes' }, moment(5101)), late, 'once');
  t.is(answered(late, { sequence: 99, hears: 'no' }, moment(5101)), late, 'nobody asked');
});

test('hearsOf() tells of own asks only', (t) => {
  t.is(hearsOf(newPath(0, true)), 'unknown');
  t.is(hearsOf(pathIn('held')), 'yes');
  t.is(hearsOf(silent(newPath(0, false), 4)), 'no');
  t.is(hearsOf(refused(silent(newPath(0, true), 4), moment(5001))), 'unknown');
  t.is(
    hearsOf(
      heard(answered(asked(newPath(0, true), 1), { sequence: 1, hears: 'yes' }, moment(2)), 'no', moment(3)),
    ),
    'yes',
  );
});

test('a path agrees with counting all of its asks by hand', (t) => {
  const fates = fc.array(fc.integer({ min: -1, max: 400 }), { maxLength: 50 });
  fc.assert(
    fc.property(fates, fc.boolean(), (delays, isProven) => {
      // Asks 100 ms apart, each answered after so many ms, or never.
      const events = delays.flatMap((delay, index) => [
        { at: index * 100, kind: 0, sequence: index + 1 },
        ...(delay < 0 ? [] : [{ at: index * 100 + delay + 0.5, kind: 1, sequence: index + 1 }]),
      ]);
      let path = newPath(0, isProven);
      const out = new Map<number, number>();
      const lost = new Set<number>();
      let last = 0;
      for (const { at, kind, sequence } of events.toSorted((a, b) => a.at - b.at)) {
        path = expired(path, moment(at));
        for (const [ask, overdueAt] of out) if (overdueAt <= at) lost.add(ask);
        if (kind === 0) {
          out.set(sequence, at + patienceMs(path.rtt));
          path = asked(path, at);
        } else {
          path = answered(path, { sequence, hears: 'yes' }, moment(at));
          out.delete(sequence);
          lost.delete(sequence);
          last = Math.max(last, sequence);
        }
        t.is(path.misses, [...lost].filter((ask) => ask > last).length);
      }
      const recent = [...lost].filter(
        (ask) => ask > path.tally.after && ask > path.tally.newest - TALLY_SIZE,
      );
      t.is(lostCount(path.tally), recent.length);
    }),
    { seed: 4, numRuns: 60 },
  );
});

test('a tally agrees with a list of all asks', (t) => {
  const judgement = fc.record({ sequence: fc.integer({ min: 1, max: 90 }), isLost: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(judgement, { maxLength: 80 }),
      fc.integer({ min: 0, max: 20 }),
      (judgements, after) => {
        let tally = newTally(after);
        const all = new Map<number, boolean>();
        let newest = after;
        for (const { sequence, isLost } of judgements) {
          tally = judge(tally, sequence, isLost);
          newest = Math.max(newest, sequence);
          if (sequence > after && sequence > newest - TALLY_SIZE) all.set(sequence, isLost);
        }
        const seen = [...all].filter(([sequence, isLost]) => isLost && sequence > newest - TALLY_SIZE);
        t.is(lostCount(tally), seen.length);
        t.is(tallied(tally), Math.min(newest - after, TALLY_SIZE));
        for (const since of [0, 30, 45, 60]) {
          t.is(lostAfter(tally, since), seen.filter(([sequence]) => sequence > since).length);
        }
      },
    ),
    { seed: 5, numRuns: 200 },
  );
});

test('Wheel brings up each thing within a tick of its time, as a list that is searched would', (t) => {
  const acts = fc.array(
    fc.record({ thing: fc.integer({ min: 0, max: 9 }), inMs: fc.integer({ min: 0, max: 6000 }) }),
    {
      maxLength: 40,
    },
  );
  fc.assert(
    fc.property(
      acts,
      fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 5, maxLength: 30 }),
      (puts, steps) => {
        const things = Array.from({ length: 10 }, (_, id) => ({ id, tick: -1, at: Infinity }));
        const wheel = new Wheel<Turning & { id: number; at: number }>(1000);
        let now = 1000;
        for (const [index, step] of steps.entries()) {
          const { thing: id, inMs } = puts[index] ?? { thing: 0, inMs: Infinity };
          const thing = things[id];
          if (thing !== undefined && inMs < Infinity) {
            thing.at = Math.min(thing.at, now + inMs);
            wheel.put(thing, thing.at);
          }
          t.true(wheel.next() <= Math.min(...things.map(({ at }) => at)) + 4);
          now += step;
          for (const up of wheel.take(now)) {
            if (up.at <= now) up.at = Infinity;
            else wheel.put(up, up.at);
          }
          t.true(
            things.every(({ at }) => at > now - 4),
            'nothing is forgotten',
          );
        }
      },
    ),
    { seed: 6, numRuns: 100 },
  );
});

test('Queues serves the most urgent first, then who waits longest, and keeps a tenth for the idle', (t) => {
  const queues = new Queues<Waiting & { name: string }>();
  const budget = new Budget(1000, 1000);
  const things = ['a', 'b', 'c', 'd'].map((name) => ({ name }));
  for (const thing of things) queues.push(thing, 3);
  const [, b, c] = things;
  if (b !== undefined) queues.push(b, 0);
  if (c !== undefined) queues.remove(c);
  const served = [1, 2, 3, 4].map(() => queues.next(budget, 0)?.name);
  t.deepEqual(served, ['b', 'a', 'd', undefined]);
  t.true(queues.isEmpty);
  const busy = Array.from({ length: 2000 }, () => ({ name: 'busy' }));
  for (const thing of busy) queues.push(thing, 1);
  for (const thing of things) queues.push(thing, 3);
  const names = Array.from({ length: 100 }, () => queues.next(budget, 1)?.name);
  t.is(names.filter((name) => name === 'busy').length, 81, 'as many as the budget of the urgent has at once');
  t.deepEqual(names.slice(81, 86), ['a', 'b', 'c', 'd', undefined]);
});

test('Budget never gives more than its rate and what it saves', (t) => {
  const budget = new Budget(100, 10);
  let given = 0;
  for (let now = 0; now < 2000; now += 1)
    for (let ask = 0; ask < 5; ask += 1) if (budget.take(now)) given += 1;
  t.true(given >= 200 && given <= 211, `${given} in 2 s`);
});

test('proofMs() grows fourfold with each failure, up to a minute, and is forgotten', (t) => {
  let damping = UNDAMPED;
  const proofs = [0, 0, 0, 0, 0].map((now) => proofMs((damping = failed(damping, now)), now));
  t.deepEqual(proofs, [1000, 4000, 16_000, 60_000, 60_000]);
  t.is(proofMs(damping, 600_000), 1000);
});

test('patienceMs() follows the round trip, within bounds', (t) => {
  t.is(patienceMs(undefined), 1000);
  let rtt = sampled(undefined, 1);
  t.is(patienceMs(rtt), 75);
  for (let count = 0; count < 40; count += 1) rtt = sampled(rtt, 200);
  t.true(Math.abs(patienceMs(rtt) - 225) < 2);
  t.is(patienceMs(sampled(undefined, 5000)), 1000);
});

test('deadline() gives an ask whose time ran out unwatched that time again, and only such a one', (t) => {
  t.is(lateness(ON_TIME, 100, 150), ON_TIME);
  const late = lateness(ON_TIME, 100, 300);
  t.deepEqual(late, { from: 100, until: 300 });
  t.is(deadline(late, { at: 80, overdueAt: 155 }), 375);
  t.is(deadline(late, { at: 10, overdueAt: 85 }), 85, 'it was over before');
  t.is(deadline(late, { at: 290, overdueAt: 365 }), 365, 'it is not over');
  t.is(deadline(late, { at: 301, overdueAt: 376 }), 376);
});

test('paceOf() and spread() keep within what each state promises', (t) => {
  const quiet = { now: 1000, paths: 4, hasTraffic: false, isDoubtful: false, isSizing: false };
  const up = answered(asked(newPath(0, true), 1), { sequence: 1, hears: 'yes' }, moment(2));
  t.deepEqual(paceOf(up, quiet), { ms: 1000, urgency: 3 });
  t.deepEqual(paceOf(up, { ...quiet, paths: 1500 }), { ms: 2000, urgency: 3 });
  t.deepEqual(paceOf(up, { ...quiet, hasTraffic: true }), { ms: 75, urgency: 1 });
  t.deepEqual(paceOf(up, { ...quiet, isDoubtful: true }), { ms: 75, urgency: 2 });
  t.deepEqual(paceOf(silent(up, 1), { ...quiet, hasTraffic: true }), { ms: 50, urgency: 0 });
  const stopped = [3, 4, 5, 6].reduce((path, now) => refused(path, moment(now)), up);
  t.deepEqual(paceOf(stopped, { ...quiet, hasTraffic: true }), { ms: 1100, urgency: 3 });
  const down = pathIn('down');
  t.deepEqual(paceOf(down, quiet), { ms: 100, urgency: 3 });
  t.deepEqual(paceOf(down, { ...quiet, hasTraffic: true }), { ms: 100, urgency: 2 });
  t.deepEqual(paceOf(down, { ...quiet, now: 200_000 }), { ms: 1000, urgency: 3 });
  for (const random of [0, 0.5, 0.999]) {
    t.true(spread({ ms: 75, urgency: 1 }, random) <= 75);
    t.true(spread({ ms: 1000, urgency: 3 }, random) >= 1000);
  }
});

test('kickDelayMs() is eager while sessions may live, then backs off to a minute', (t) => {
  t.deepEqual(
    [0, 1000, 179_000, 182_000, 220_000, 900_000].map((silentMs) => kickDelayMs(silentMs, 0, 20)),
    [1000, 300, 300, 1000, 20_000, 64_000],
  );
  t.is(kickDelayMs(1000, 0.5, 20), 450, 'two ends do not kick in step');
  t.is(kickDelayMs(1000, 0, 600), 1800, 'a handshake over a long way has the time to end');
  t.deepEqual(
    [1000, 6000, 60_000].map((silentMs) => kickDelayMs(silentMs, 0)),
    [300, 750, 1000],
  );
});

test('isKicked() looks again soon where the budget has nothing left, however long the path is silent', (t) => {
  const spec = { id: 'west/0#0', neighbour: 'west', far: 'key', isTunnel: true };
  const watched = newWatched(spec, newGroup({ size: 1 }), { now: 0, dueAt: 0, kickAt: 0 });
  watched.path = silent(watched.path, 5);
  const now = 900_000;
  t.false(isKicked(watched, now, 0, new Budget(0, 0)));
  t.is(watched.kickAt, now + 32);
  t.false(isKicked(watched, now, 0, new Budget(1, 1)), 'not yet');
  t.true(isKicked(watched, now + 32, 0, new Budget(1, 1)));
  t.is(watched.kickAt, now + 32 + 64_000);
});

test('a size search ends with the largest size that arrives, whatever that is', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 576, max: 9000 }),
      fc.integer({ min: 1280, max: 9000 }),
      (limit, ceiling) => {
        let mtu: Mtu = newMtu(ceiling);
        let probes = 0;
        for (let now = 0; mtu.phase !== 'complete'; now += 100) {
          mtu = probed(mtu, { sequence: probes, at: now, overdueAt: now + 75, checkMs: 500 });
          const { size = 0 } = mtu.probe ?? {};
          mtu =
            size <= limit
              ? confirmed(mtu, { sequence: probes, size }, now + 1)
              : unconfirmed(mtu, probes, { now: now + 75, late: ON_TIME });
          probes += 1;
        }
        // Slowly: all sizes there are, one by one.
        const sizes = [
          ceiling,
          ...Array.from({ length: 600 }, (_, index) => index * 16).filter((size) => size < ceiling),
        ];
        t.is(mtu.size, Math.max(576, ...sizes.filter((size) => size <= limit)));
        t.true(probes <= 40, `${probes} probes`);
      },
    ),
    { seed: 8, numRuns: 200 },
  );
});

test('unconfirmed() gives a probe its time again whose time ended while nobody looked', (t) => {
  const mtu = probed(newMtu(1420, 1420), { sequence: 1, at: 0, overdueAt: 75, checkMs: 500 });
  const late = { from: 50, until: 300 };
  t.is(unconfirmed(mtu, 1, { now: 300, late }), mtu);
  t.is(unconfirmed(mtu, 1, { now: 374, late }), mtu);
  t.is(unconfirmed(mtu, 1, { now: 375, late }).tries, 1);
  t.is(unconfirmed(mtu, 1, { now: 75, late: ON_TIME }).tries, 1);
});

test('nextLook() is no sooner than the time that a probe gets again', (t) => {
  const spec = { id: 'west/0#0', neighbour: 'west', far: '', ceiling: 1420, size: 1420, isProven: true };
  const watched = newWatched(spec, newGroup({ size: 1 }), { now: 0, dueAt: 1000, kickAt: Infinity });
  watched.mtu = probed(newMtu(1420, 1420), { sequence: 1, at: 0, overdueAt: 75, checkMs: 0 });
  t.is(nextLook(watched, ON_TIME), 75);
  t.is(nextLook(watched, { from: 50, until: 300 }), 375);
});

test('describeChange() says path, state and reason in one line', (t) => {
  const at = 0;
  const changes: Change[] = [
    {
      what: 'state',
      at,
      path: 'west/1#0',
      from: 'up',
      to: 'down',
      reason: { kind: 'unanswered', lost: 4, siblingAnswers: true },
    },
    { what: 'state', at, path: 'gw-0', from: 'up', to: 'down', reason: { kind: 'unanswered', lost: 4 } },
    {
      what: 'state',
      at,
      path: 'west/1#0',
      from: 'up',
      to: 'down',
      reason: { kind: 'loss', lost: 7, of: 32, siblingLost: 0 },
    },
    {
      what: 'state',
      at,
      path: 'west/1#0',
      from: 'down',
      to: 'held',
      reason: { kind: 'on trial', proofMs: 600 },
    },
    { what: 'state', at, path: 'west/1#0', from: 'held', to: 'up', reason: { kind: 'steady', forMs: 2412 } },
    { what: 'state', at, path: 'west/1#0', from: 'held', to: 'up', reason: { kind: 'last left' } },
    { what: 'state', at, path: 'west/1#0', from: 'unknown', to: 'up', reason: { kind: 'refuses' } },
    { what: 'mtu', at, path: 'west/1#0', from: 1420, to: 1280, reason: 'black hole' },
    {
      what: 'forwards',
      at,
      path: 'west/1',
      from: 'yes',
      to: 'no',
      reason: { kind: 'unanswered', rounds: 3 },
    },
    { what: 'forwards', at, path: 'west/1', from: 'no', to: 'yes', reason: { kind: 'steady', forMs: 700 } },
  ];
  t.deepEqual(changes.map(describeChange), [
    'path west/1#0 down: 4 of 4 probes unanswered, sibling answers',
    'path gw-0 down: 4 of 4 probes unanswered',
    'path west/1#0 down: 7 of 32 probes lost, sibling lost 0',
    'path west/1#0 held: answers again, in use after 600 ms without a loss',
    'path west/1#0 up: no loss for 2.4 s',
    'path west/1#0 up: no other path is up',
    'path west/1#0 up: the far kernel answers, its daemon does not run',
    'path west/1#0 mtu 1420 → 1280: larger packets do not arrive, small ones do',
    'gateway west/1 does not forward: no node behind it answered 3 rounds of probes, another gateway reaches one',
    'gateway west/1 forwards: nodes behind it have answered for 700 ms',
  ]);
});
