// New keys, from the wish to the proof: who stands in, the machine, and what it makes of a gateway.

import test from 'ava';
import fc from 'fast-check';
import { Conditions } from '#host';
import { openLog } from '#lib/log';
import { parseClusterId } from '#lib/names';
import { PrivateKey } from '#lib/wireguard';
import { laneOf } from '#topology';
import type { RemoteCluster, TunnelId } from '#topology';
import { Rekeying } from './rekeying.ts';
import { firstRotation, turn } from './rotation.ts';
import type { LaneSeen, Rotation, RotationSeen } from './rotation.ts';
import { standIn } from './stand-in.ts';
import type { StandIn } from './stand-in.ts';
import type { Standing } from './usable.ts';

const SEED = 20_260_701;
const FINE: Standing = {
  deaf: false,
  narrow: false,
  impaired: false,
  draining: false,
  blocked: false,
  stopped: false,
};
const TUNNELS_OF_ALL: readonly TunnelId[] = [
  'west/0#0',
  'west/0#1',
  'west/0#2',
  'west/1#0',
  'west/1#1',
  'edge/0#0',
  'edge/0#1',
];
const INDEXES = new Map([
  ['edge', 3],
  ['west', 2],
]);

/** Tunnels that answer; those with a `-` drain, of those with a `!` only the far kernel does, those with a `?` are silent. */
function standInOf(lane: number, ways: readonly TunnelId[], siblings: readonly number[] = []): StandIn {
  const standings = new Map<string, Standing | undefined>(
    ways.map((way) => [
      way.replace(/^[-!?]/, ''),
      way.startsWith('?')
        ? undefined
        : { ...FINE, draining: way.startsWith('-'), stopped: way.startsWith('!') },
    ]),
  );
  return standIn(lane, {
    tunnels: TUNNELS_OF_ALL.filter((id) => standings.has(id)),
    standing: (id) => standings.get(id),
    siblings: new Set(siblings),
    indexes: INDEXES,
  });
}

test('standIn() names other lanes, else siblings, else the clusters that nothing else leads to', (t) => {
  const lanes: StandIn = { by: 'lanes', only: [] };
  const gateways: StandIn = { by: 'gateways', only: [] };
  const both = ['west/0#0', 'west/0#1', 'edge/0#0', 'edge/0#1'] as const;
  for (const [what, got, wanted] of [
    ['nothing passes', standInOf(0, []), lanes],
    ['two lanes', standInOf(0, both), lanes],
    ['the lane itself drains', standInOf(0, ['-west/0#0', 'west/0#1']), lanes],
    ['only the other lane answers', standInOf(0, ['west/0#1']), lanes],
    ['the other one drains', standInOf(0, ['west/0#0', '-west/0#1']), { only: ['west'] }],
    ['one lane', standInOf(0, ['west/0#0', 'edge/0#0']), { only: ['west', 'edge'] }],
    ['one lane, siblings', standInOf(0, ['west/0#0', 'edge/0#0'], [2, 3]), gateways],
    ['siblings lead to one', standInOf(0, ['west/0#0', 'edge/0#0'], [2]), { only: ['edge'] }],
    ['the far end knows of no other gateway', standInOf(0, ['west/0#0', 'west/1#1']), { only: ['west'] }],
    ['one is alone, another not', standInOf(0, both.slice(1), []), lanes],
    ['siblings lack what lanes have', standInOf(0, both.slice(0, 3), [2]), { only: ['edge'] }],
    ['the whole rests', standInOf(0, ['west/0#0', 'edge/0#0', 'edge/0#1'], [2]), { only: ['edge'] }],
    ['a daemon there is stopped', standInOf(0, ['!west/0#0', 'west/0#1']), { only: ['west'] }],
    ['on another lane', standInOf(0, ['west/0#0', '!west/0#1']), lanes],
    ['the whole would rest', standInOf(0, ['west/0#0', '!edge/0#1'], [2, 3]), { only: ['edge'] }],
    ['another lane is silent', standInOf(0, ['west/0#0', 'west/0#1', '?west/0#2']), { only: ['west'] }],
    ['also for siblings', standInOf(0, ['west/0#0', '?west/0#1'], [2, 3]), { only: ['west'] }],
    ['to another gateway', standInOf(0, ['west/0#0', 'west/0#1', '?west/1#0', '?west/1#1']), lanes],
  ] as const) {
    t.deepEqual(got, wanted, what);
  }
});

const TUNNELS: readonly TunnelId[] = ['west/0#0', 'west/0#1'];

function lane(number: number, seen: Partial<LaneSeen> = {}): LaneSeen {
  const up = TUNNELS.filter((id) => laneOf(id) === number);
  return { lane: number, wish: 'renew', standIn: { by: 'lanes', only: [] }, up, ...seen };
}

const SEEN: RotationSeen = {
  now: 1000,
  random: 0.5,
  isTold: true,
  lanes: [lane(0), lane(1)],
  looks: 0,
  busy: new Set(),
};

function turns(from: Rotation, ...seen: readonly Partial<RotationSeen>[]): Rotation {
  return seen.reduce<Rotation>((rotation, each) => turn(rotation, { ...SEEN, ...each }), from);
}

test('turn() rests a lane, gives it a key once nothing passes, and goes on once it answers', (t) => {
  const idle = firstRotation(0);
  t.is(turns(idle, { now: 999 }), idle, 'too early');
  t.is(turns(idle, { isTold: false }), idle, 'nobody would hear of it');
  t.is(turns(idle, { lanes: [lane(0, { wish: 'keep' })] }), idle, 'nothing is wished');
  const resting = turns(idle, {});
  t.like(resting, { phase: 'resting', lane: 0, whole: false });
  t.is(turns(resting, { now: 2000 }), resting, 'traffic has not been looked at');
  const busy = turns(resting, { looks: 1 }, { looks: 2, busy: new Set([0]) }, { looks: 3 });
  t.is(busy.phase, 'resting', 'traffic came back');
  t.is(turns(busy, { looks: 4, busy: new Set([1]) }).phase, 'proving');
  t.is(turns(busy, { now: 10_999, looks: 3 }).phase, 'resting');
  t.is(turns(busy, { now: 11_000, looks: 4, busy: new Set([0]) }).phase, 'proving', 'somebody never stops');
  const proving = turns(busy, { looks: 4, now: 3000 });
  t.like(proving, { lane: 0, tunnels: ['west/0#0'] });
  const silent = [lane(0, { up: [], wish: 'keep' }), lane(1)];
  t.is(turns(proving, { now: 32_999, lanes: silent }), proving);
  t.is(turns(proving, { now: 33_000, lanes: silent }).phase, 'idle');
  const done = [lane(0, { wish: 'keep' }), lane(1)];
  const proven = turns(proving, { now: 3200, lanes: done });
  t.is(turns(proven, { now: 4199, lanes: done }), proven, 'not for long enough');
  const again = turns(proven, { now: 4000, lanes: silent }, { now: 4100, lanes: done });
  t.is(turns(again, { now: 5099, lanes: done }).phase, 'proving', 'it was silent again');
  const next = turns(proven, { now: 4200, lanes: done }, { now: 5200, lanes: done });
  t.like(next, { phase: 'resting', lane: 1 });
});

test('turn() lets go of a lane that nobody stands in for any more, and rests the whole gateway for siblings', (t) => {
  const alone: StandIn = { only: ['west'] };
  const idle = firstRotation(0);
  t.like(turns(idle, { lanes: [lane(0, { standIn: alone }), lane(1)] }), { lane: 1 }, 'others first');
  t.like(turns(idle, { lanes: [lane(0, { standIn: alone, wish: 'force' })] }), { phase: 'resting', lane: 0 });
  const resting = turns(idle, {});
  for (const lost of [
    { lanes: [lane(0, { standIn: alone })] },
    { lanes: [] },
    { lanes: [lane(0, { wish: 'keep' })] },
    { isTold: false },
  ] as const) {
    t.deepEqual(turns(resting, { now: 2000, ...lost }), { phase: 'idle', until: 8000 });
  }
  const siblings = [lane(0, { standIn: { by: 'gateways', only: [] } })];
  const whole = turns(resting, { now: 2000, looks: 1 }, { now: 3000, looks: 2, lanes: siblings });
  t.like(whole, { phase: 'resting', whole: true, from: 3000, quiet: 0 }, 'from the beginning');
});

/** The first most often, so that something comes of it. */
function mostly<const T>(first: T, ...others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 12, arbitrary: fc.constant(first) }, fc.constantFrom(...others));
}

/** What happens at once, in a random life of two lanes. */
const MOMENT = fc.record({
  ms: fc.integer({ min: 0, max: 3000 }),
  isTold: mostly(true, false),
  lanes: fc.tuple(...[0, 1].map(laneAt)),
  looked: fc.boolean(),
  busy: mostly<readonly number[]>([], [0], [1], [0, 1]),
});
type Moment = typeof MOMENT extends fc.Arbitrary<infer M> ? M : never;

function laneAt(number: number): fc.Arbitrary<LaneSeen> {
  return fc
    .record({
      by: mostly('lanes', 'gateways', undefined),
      wish: mostly('renew', 'keep', 'force'),
      isUp: fc.boolean(),
    })
    .map(({ by, wish, isUp }) => {
      const standing: StandIn = by === undefined ? { only: ['west'] } : { by, only: [] };
      return lane(number, { wish, standIn: standing, ...(!isUp && { up: [] }) });
    });
}

/** Plays such a life: every step from one state to the next. */
function* lived(moments: readonly Moment[]): Iterable<{
  readonly before: Rotation;
  readonly after: Rotation;
  readonly seen: RotationSeen;
  /** Looks in a row without traffic, by lane. */
  readonly empty: readonly number[];
}> {
  let after = firstRotation(0);
  let seen: RotationSeen = { ...SEEN, now: 0 };
  let empty: readonly number[] = [0, 0];
  for (const { ms, isTold, lanes, looked, busy } of moments) {
    const looks = seen.looks + Number(looked);
    if (looked) empty = empty.map((count, at) => (busy.includes(at) ? 0 : count + 1));
    seen = { now: seen.now + ms, random: 0, isTold, lanes, looks, busy: new Set(busy) };
    const before = after;
    after = turn(before, seen);
    yield { before, after, seen, empty };
  }
}

/** Nothing passed, or for too long something did; and somebody stands in, or need not. */
function isRightful(
  before: Rotation,
  { now, isTold, lanes }: RotationSeen,
  empty: readonly number[],
): boolean {
  if (before.phase !== 'resting') return false;
  const isEmpty = (empty[before.lane] ?? 0) >= 2 || now - before.from >= 10_000;
  const seen = lanes[before.lane];
  const stands = seen?.wish === 'renew' && seen.standIn.by !== undefined;
  return isTold && isEmpty && (stands || seen?.wish === 'force');
}

test('turn() replaces no key that packets pass by, whatever happens when', (t) => {
  let renewals = 0;
  const holds = (moments: readonly Moment[]): boolean =>
    [...lived(moments)].every(({ before, after, seen, empty }) => {
      if (after.phase !== 'proving') return true;
      if (before.phase === 'proving') return seen.now - after.from < 30_000;
      renewals += 1;
      return isRightful(before, seen, empty);
    });
  const lives = fc.array(MOMENT, { minLength: 20, maxLength: 60 });
  t.notThrows(() => fc.assert(fc.property(lives, holds), { seed: SEED, numRuns: 200 }));
  t.true(renewals > 100, `${renewals} renewals`);
});

const DAY_MS = 24 * 3600 * 1000;
const QUIET = openLog({ component: 'test', destination: { write: () => {} } });

/** A gateway with lanes to one gateway of west, whose keys are so old. */
function bed(ages: readonly number[]): {
  readonly rekeying: Rekeying;
  readonly world: { now: number; looks: number; up: Set<string>; fails: boolean; attempts: number };
  readonly renewed: number[];
  readonly codes: () => string[];
  readonly second: () => Promise<void>;
} {
  const wall = 100 * DAY_MS;
  const tunnels = ages.map((_, at): TunnelId => `west/0#${at}`);
  const world = { now: 0, looks: 0, up: new Set<string>(tunnels), fails: false, attempts: 0 };
  const renewed: number[] = [];
  const conditions = new Conditions(QUIET);
  const lanes = {
    keys: ages.map(() => PrivateKey.generate()),
    times: ages.map((age): number | undefined => wall - age),
    look: async () => await Promise.resolve(),
    renew: async (number: number) => {
      await Promise.resolve();
      world.attempts += 1;
      if (world.fails) throw new Error('disk full');
      renewed.push(number);
      lanes.times[number] = wall;
    },
  };
  const traffic = {
    lanes: new Set<number>(),
    get looks() {
      return world.looks;
    },
  };
  const rekeying = new Rekeying({
    lanes,
    traffic,
    conditions,
    prober: { standing: (id) => (world.up.has(id) ? FINE : undefined), relief: () => new Set() },
    log: QUIET,
    wake: () => {},
    now: () => world.now,
    wall: () => wall,
    random: () => 0,
  });
  const gateways = [{ ordinal: 0, keys: [] }];
  const west: RemoteCluster = {
    id: parseClusterId('west'),
    index: 2,
    podCidrs: [],
    serviceCidrs: [],
    gateways,
  };
  const planned = { tunnels: tunnels.map((id) => ({ id })), fleet: { remotes: [west] }, isTold: true };
  const second = async (): Promise<void> => {
    world.now += 1000;
    world.looks += 1;
    await rekeying.look();
    await rekeying.step(planned);
  };
  const codes = (): string[] => conditions.all().map(({ code }) => code);
  return { rekeying, world, renewed, codes, second };
}

test('Rekeying renews keys older than 30 days, one after another, and tells how far it is', async (t) => {
  const { rekeying, renewed, second } = bed([30 * DAY_MS + 1, 31 * DAY_MS]);
  const phases = new Set<string>();
  for (let at = 0; at < 20; at += 1) {
    await second();
    const { lanes } = rekeying.rests;
    t.true(lanes.length <= 1);
    phases.add(
      rekeying
        .report()
        .map(({ rotation }) => rotation)
        .join(' '),
    );
  }
  t.deepEqual(renewed, [0, 1]);
  t.deepEqual(
    [...phases],
    ['resting wished', 'proving wished', 'idle wished', 'idle resting', 'idle proving', 'idle idle'],
  );
  t.deepEqual(rekeying.rests, { gateway: false, lanes: [] });
});

test('Rekeying keeps a key that is young, or that cannot be written, says why, and tries again after a while', async (t) => {
  const { renewed, world, codes, second } = bed([30 * DAY_MS, 31 * DAY_MS]);
  world.fails = true;
  for (let at = 0; at < 100; at += 1) await second();
  t.deepEqual([renewed, codes(), world.attempts], [[], ['IST_KEY_UNWRITTEN'], 2]);
  world.fails = false;
  for (let at = 0; at < 70; at += 1) await second();
  t.deepEqual([renewed, codes()], [[1], []]);
});

test('Rekeying gives no other lane a new key while one does not answer by its own', async (t) => {
  const { renewed, world, codes, second } = bed([31 * DAY_MS, 32 * DAY_MS, 33 * DAY_MS]);
  while (renewed.length === 0) await second();
  world.up.delete('west/0#0');
  for (let at = 0; at < 120; at += 1) await second();
  t.deepEqual([renewed, codes()], [[0], ['IST_KEY_KEPT', 'IST_KEY_KEPT']]);
  world.up.add('west/0#0');
  for (let at = 0; at < 20; at += 1) await second();
  t.deepEqual([renewed, codes()], [[0, 1, 2], []]);
});

test('Rekeying waits for somebody who stands in, says so after a while, and does not wait where it is forced', async (t) => {
  const { rekeying, renewed, world, codes, second } = bed([31 * DAY_MS, 1]);
  world.up.delete('west/0#1');
  for (let at = 0; at < 60; at += 1) await second();
  t.deepEqual([renewed, codes()], [[], []]);
  for (let at = 0; at < 3; at += 1) await second();
  t.deepEqual([renewed, codes()], [[], ['IST_KEY_KEPT']]);
  t.deepEqual(
    rekeying.report().map(({ rotation, only }) => [rotation, only]),
    [
      ['wished', ['west']],
      ['idle', []],
    ],
  );
  world.up.add('west/0#1');
  for (let at = 0; at < 10; at += 1) await second();
  t.deepEqual([renewed, codes()], [[0], []]);
  const forced = bed([100 * DAY_MS]);
  forced.world.up.delete('west/0#1');
  for (let at = 0; at < 10; at += 1) await forced.second();
  t.deepEqual(forced.renewed, [0]);
});
