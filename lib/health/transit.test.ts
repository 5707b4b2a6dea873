// What lies behind gateways, in virtual time.

import test from 'ava';
import { Budget } from './budget.ts';
import { describeChange } from './change.ts';
import type { ForwardChange } from './change.ts';
import { randomOf } from './simulation.ts';
import { TransitWatch } from './transit-watch.ts';
import type { TransitAsk, TransitOptions, TransitSpec } from './transit-watch.ts';

interface World {
  readonly watch: TransitWatch;
  readonly changes: ForwardChange[];
  /** Asks by gateway. */
  readonly asked: Map<string, number>;
  now: number;
  /** Gateways that forward, and those that tunnels lead to. */
  forwarding: ReadonlySet<string>;
  reachable: ReadonlySet<string>;
  /** Nodes of all clusters that answer. */
  answering: ReadonlySet<number>;
}

const TWO: readonly TransitSpec[] = [0, 1].map((ordinal) => ({
  id: `west/${ordinal}`,
  cluster: 'west',
  responders: 3,
}));

function world(specs = TWO, options: Partial<TransitOptions> = {}): World {
  const gateways = new Set(specs.map(({ id }) => id));
  const it: World = {
    now: 10_000,
    changes: [],
    asked: new Map(),
    forwarding: gateways,
    reachable: gateways,
    answering: new Set([1, 2, 3]),
    watch: new TransitWatch({
      now: 10_000,
      random: randomOf(1),
      isReachable: (id) => it.reachable.has(id),
      ...options,
    }),
  };
  it.watch.watch(specs, it.now);
  return it;
}

/** Answers take 2 ms. */
function run(it: World, ms: number): World {
  const until = it.now + ms;
  const answers: (TransitAsk & { at: number })[] = [];
  while (it.now < until) {
    it.now = Math.max(it.now, Math.min(answers[0]?.at ?? Infinity, it.watch.wakeAt, until));
    const [first] = answers;
    if (first !== undefined && first.at <= it.now) {
      answers.shift();
      it.changes.push(...it.watch.answered(first.gateway, first, it.now));
    } else if (it.watch.wakeAt <= it.now) {
      const { asks, changes } = it.watch.step(it.now);
      it.changes.push(...changes);
      answers.push(...asks.filter((ask) => isAnswered(it, ask)).map((ask) => ({ at: it.now + 2, ...ask })));
    }
  }
  return it;
}

function isAnswered(it: World, { gateway, responder }: TransitAsk): boolean {
  it.asked.set(gateway, (it.asked.get(gateway) ?? 0) + 1);
  return it.forwarding.has(gateway) && it.reachable.has(gateway) && it.answering.has(responder);
}

const texts = (it: World): readonly string[] => it.changes.map((change) => describeChange(change));

test('TransitWatch finds that gateways forward, asking one node at a time', (t) => {
  const it = run(world(), 30_000);
  t.deepEqual(texts(it).toSorted(), [
    'gateway west/0 forwards: a node behind it answers',
    'gateway west/1 forwards: a node behind it answers',
  ]);
  t.true((it.asked.get('west/0') ?? 0) <= 3 + 7, `${it.asked.get('west/0')} asks in 30 s`);
});

test('TransitWatch ejects a gateway that answers and does not forward within 1.3 s of traffic, and takes it back', (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const it = run(world(TWO, { random: randomOf(seed) }), 6000);
    it.watch.traffic(new Set(['west']), it.now);
    run(it, 1000 + 10 * seed);
    const start = it.now;
    it.changes.length = 0;
    it.forwarding = new Set(['west/1']);
    run(it, 3000);
    t.deepEqual(texts(it), [
      'gateway west/0 does not forward: no node behind it answered 3 rounds of probes, another gateway reaches one',
    ]);
    const ms = (it.changes[0]?.at ?? Infinity) - start;
    t.true(ms <= 1300, `seed ${seed}: ${ms} ms`);
    it.forwarding = new Set(['west/0', 'west/1']);
    run(it, 2000);
    t.is(it.watch.verdict('west/0'), 'yes');
  }
});

test('TransitWatch ejects a gateway that stops forwarding within 7 s where nothing flows, whenever it does', (t) => {
  for (let phase = 0; phase < 200; phase += 1) {
    const it = run(world(TWO, { random: randomOf(phase) }), 30_000 + phase * 53);
    it.changes.length = 0;
    it.forwarding = new Set(['west/1']);
    const from = it.now;
    run(it, 40_000);
    const [change] = it.changes;
    t.is(change?.path, 'west/0');
    t.true((change?.at ?? Infinity) - from <= 7000, `phase ${phase}: ${(change?.at ?? Infinity) - from} ms`);
  }
});

test('TransitWatch goes on with another node when one stops answering', (t) => {
  const it = run(world(), 6000);
  it.watch.traffic(new Set(['west']), it.now);
  for (const answering of [[2, 3], [3], [1]]) {
    it.answering = new Set(answering);
    run(it, 2000);
  }
  t.deepEqual([it.watch.verdict('west/0'), it.watch.verdict('west/1')], ['yes', 'yes']);
  t.is(it.changes.length, 2);
});

test('TransitWatch does not blame a gateway whose tunnels do not answer', (t) => {
  const it = run(world(), 6000);
  it.reachable = new Set(['west/1']);
  run(it, 20_000);
  t.is(it.changes.length, 2);
});

test('TransitWatch knows nothing of a cluster in which nobody answers', (t) => {
  const it = world();
  it.answering = new Set();
  run(it, 60_000);
  t.deepEqual([it.watch.verdict('west/0'), it.watch.verdict('west/1')], ['unknown', 'unknown']);
});

test('TransitWatch blames nobody when the only node that answers is restarted, however long that takes', (t) => {
  for (let phase = 0; phase < 300; phase += 1) {
    const it = run(world(TWO, { random: randomOf(phase) }), 6000);
    it.watch.traffic(new Set(['west']), it.now);
    run(it, 1000 + 7 * phase);
    it.answering = new Set();
    run(it, 20 + 13 * phase);
    it.answering = new Set([2]);
    run(it, 1500);
    t.deepEqual(texts(it).slice(2), [], `phase ${phase}`);
  }
});

test('TransitWatch ejects a gateway that never forwarded where another does', (t) => {
  const it = world();
  it.forwarding = new Set(['west/1']);
  run(it, 20_000);
  t.is(it.watch.verdict('west/0'), 'no');
});

test('TransitWatch blames nobody for its own sleep', (t) => {
  const it = run(world(), 6000);
  it.watch.traffic(new Set(['west']), it.now);
  run(it, 1000);
  for (let nap = 0; nap < 5; nap += 1) {
    it.now += 10_000;
    run(it, 400);
  }
  t.is(it.changes.length, 2);
});

test('TransitWatch keeps a thousand clusters within a fifth of the budget', (t) => {
  const specs = Array.from({ length: 2000 }, (_, index) => ({
    id: `c${index}`,
    cluster: `c${index >> 1}`,
    responders: 3,
  }));
  const it = run(world(specs), 6000);
  it.asked.clear();
  run(it, 20_000);
  const sum = [...it.asked.values()].reduce((total, count) => total + count, 0);
  t.true(sum / 20 <= 450, `${sum / 20} a second`);
  t.is(it.changes.length, 2000);
});

test('TransitWatch asks behind each of a thousand clusters though paths use up the budget', (t) => {
  const specs = Array.from({ length: 2000 }, (_, index) => ({
    id: `c${index}`,
    cluster: `c${index >> 1}`,
    responders: 3,
  }));
  const it = run(world(specs, { budget: new Budget(0, 0) }), 25_000);
  const most = Math.max(...it.asked.values());
  t.is(it.changes.length, 2000);
  t.true(most <= 4, `${most} times`);
});

test('watch() forgets gateways that are gone', (t) => {
  const it = run(world(), 6000);
  it.watch.watch(TWO.slice(1), it.now);
  t.deepEqual([it.watch.verdict('west/0'), it.watch.verdict('west/1')], ['unknown', 'yes']);
});
