import test from 'ava';
import fc from 'fast-check';
import { ROWS } from '../failover/rows.ts';
import { isClear, mayMeet, verdict } from './allowed.ts';
import { Dice } from './dice.ts';
import { faultText, KINDS, ROW_OF, touches } from './faults.ts';
import type { SoakFault } from './faults.ts';
import { differences, readState } from './foreign.ts';
import { placings } from './placings.ts';
import { leastMs, roundOf } from './script.ts';
import type { Round } from './script.ts';
import { sitePairs } from './topology.ts';
import type { SoakSite, SoakTopology } from './topology.ts';
import { growth, holdingsOf, most } from './usage.ts';

const seed = 20;

function siteNamed(name: string, gateways = 2, workers = 2, lanes = 2): SoakSite {
  const places = (kind: string, from: number, count: number): string[] =>
    Array.from({ length: count }, (_, at) => `${name}/${kind}-${at + from}`);
  return { name, lanes, gateways: places('gw', 0, gateways), workers: places('worker', 1, workers) };
}

const twoSites: SoakTopology = { isUserspace: true, sites: [siteNamed('east'), siteNamed('west')] };
const PAIR = [twoSites.sites[0] ?? siteNamed('east'), twoSites.sites[1] ?? siteNamed('west')] as const;

function expected(...faults: SoakFault[]): string {
  return verdict(twoSites, PAIR, faults);
}

const anyTopology = fc
  .record({
    gateways: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 3 }),
    lanes: fc.integer({ min: 1, max: 2 }),
    isUserspace: fc.boolean(),
  })
  .map(({ gateways, lanes, isUserspace }): SoakTopology => {
    const names = ['east', 'west', 'north'];
    return {
      isUserspace,
      sites: gateways.map((count, at) => siteNamed(names[at] ?? 'x', count, 1 + (at % 2), lanes)),
    };
  });

test('verdict() lets everything be reached over a single path that is left', (t) => {
  const dead = (place: string): SoakFault => ({ kind: 'gateway-dead', place });
  t.is(expected(), 'reached');
  t.is(expected(dead('east/gw-0'), dead('west/gw-1')), 'reached');
  t.is(expected(dead('east/gw-0'), dead('east/gw-1')), 'unclear');
  const black: SoakFault = { kind: 'black-holed', path: ['east/gw-1', 'west/gw-1'] };
  t.is(expected(dead('east/gw-0'), black), 'reached');
  t.is(expected(dead('east/gw-0'), dead('west/gw-0'), black), 'unclear');
});

test('verdict() has an isolated site refuse unless a gateway hangs, and leaves other sites alone', (t) => {
  const isolated: SoakFault = { kind: 'isolated', site: 'west' };
  t.is(expected(isolated), 'refused');
  t.is(expected({ kind: 'gateway-dead', place: 'east/gw-0' }, isolated), 'refused');
  t.is(expected({ kind: 'suspended', place: 'east/gw-0' }, isolated), 'unclear');
  const three = { ...twoSites, sites: [...twoSites.sites, siteNamed('north')] };
  const said = sitePairs(three).map(
    (sites) => `${sites.map(({ name }) => name).join('-')} ${verdict(three, sites, [isolated])}`,
  );
  t.deepEqual(said, ['east-west refused', 'east-north reached', 'west-north refused']);
});

test('verdict() expects nothing of a daemon that is dead', (t) => {
  const daemon = (place: string): SoakFault => ({ kind: 'daemon-killed', place });
  t.is(expected(daemon('east/gw-0')), 'reached');
  t.is(expected(daemon('east/gw-0'), daemon('west/worker-1')), 'reached');
  t.is(expected(daemon('east/gw-0'), { kind: 'black-holed', path: ['east/gw-0', 'west/gw-0'] }), 'unclear');
  t.is(expected(daemon('east/gw-1'), { kind: 'black-holed', path: ['east/gw-0', 'west/gw-0'] }), 'reached');
  t.is(expected(daemon('east/worker-1'), { kind: 'gateway-dead', place: 'east/gw-0' }), 'unclear');
  t.is(expected(daemon('west/worker-1'), { kind: 'gateway-dead', place: 'east/gw-0' }), 'reached');
  t.is(expected(daemon('west/worker-1'), { kind: 'isolated', site: 'east' }), 'unclear');
});

test('mayMeet() does not depend on the order, and never makes it unclear what may be reached', (t) => {
  const all = placings(twoSites);
  const pairs = all.flatMap((a) => all.map((b) => [a, b] as const));
  t.deepEqual(
    pairs.filter(([a, b]) => mayMeet(twoSites, a, b) !== mayMeet(twoSites, b, a)),
    [],
  );
  const met = pairs.filter(([a, b]) => mayMeet(twoSites, a, b));
  t.deepEqual(
    met.filter((pair) => !isClear(twoSites, pair)),
    [],
  );
  t.deepEqual(
    met.filter(([a, b]) => touches(a).some((thing) => touches(b).includes(thing))),
    [],
  );
  t.true(met.length > 1000);
});

test('mayMeet() keeps those apart that are in force only on average, and those that change the site', (t) => {
  const all = placings(twoSites);
  const meets = KINDS.map((kind) => {
    const own = all.filter((fault) => fault.kind === kind);
    const others = KINDS.filter((other) =>
      all.some((b) => b.kind === other && own.some((a) => mayMeet(twoSites, a, b))),
    );
    return [kind, others.length] as const;
  });
  t.deepEqual(
    meets
      .filter(([, others]) => others === 0)
      .map(([kind]) => kind)
      .toSorted(),
    [
      'daemon-upgraded',
      'flapping',
      'forward-drop',
      'forwarding-off',
      'link-cut',
      'lossy',
      'narrow-1296',
      'narrow-1368',
      'one-lane',
      'removed',
      'starved',
      'workers-cut',
    ],
  );
});

test('placings() places each kind, and every row of the failover table has one', (t) => {
  const all = placings(twoSites);
  t.deepEqual([...new Set(all.map(({ kind }) => kind))].toSorted(), [...KINDS].toSorted());
  t.is(new Set(all.map(faultText)).size, all.length);
  const rows = ROWS.filter(({ isReference }) => isReference !== true).map(({ id }) => id);
  t.deepEqual([...new Set(Object.values(ROW_OF))].toSorted(), rows.toSorted());
  const kernel = placings({ ...twoSites, isUserspace: false });
  t.false(kernel.some(({ kind }) => kind === 'wireguard-killed'));
});

test('roundOf() makes the same round of the same seed, and others of another one', (t) => {
  const text = (seed: number, number: number): string =>
    JSON.stringify(roundOf({ seed, topology: twoSites }, number));
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 1, max: 1000 }),
      (seed, number) => text(seed, number) === text(seed, number),
    ),
    { seed },
  );
  const first = Array.from({ length: 50 }, (_, at) => text(7, at + 1));
  const others = Array.from({ length: 50 }, (_, at) => text(8, at + 1));
  t.true(first.filter((round, at) => round !== others[at]).length > 45);
});

/** What is broken after each step, as it follows from the steps before it. */
function replayed({ steps }: Round): string[] {
  const broken = new Set<string>();
  return steps.map(({ action, fault }) => {
    if (action === 'break') broken.add(faultText(fault));
    else broken.delete(faultText(fault));
    return [...broken].toSorted().join();
  });
}

test('roundOf() never leaves it unclear what may be reached, and mends all that it breaks', (t) => {
  fc.assert(
    fc.property(anyTopology, fc.nat(), fc.integer({ min: 1, max: 200 }), (topology, seed, number) => {
      const round = roundOf({ seed, topology }, number);
      const said = round.steps.map(({ inForce }) => inForce.map(faultText).toSorted().join());
      t.deepEqual(said, replayed(round));
      t.is(said.at(-1), '');
      t.true(round.steps.every(({ inForce }) => inForce.length <= 2 && isClear(topology, inForce)));
      t.true(leastMs(round) >= 2500 && leastMs(round) < 20_000);
    }),
    { seed, numRuns: 300 },
  );
});

test('roundOf() breaks each kind once before it breaks one again', (t) => {
  for (const from of [0, KINDS.length]) {
    const numbers = KINDS.map((_, at) => from + at + 1);
    const first = numbers.map(
      (number) => roundOf({ seed: 5, topology: twoSites }, number).steps[0]?.fault.kind,
    );
    t.is(new Set(first).size, KINDS.length);
  }
});

test('Dice fall evenly', (t) => {
  const dice = new Dice(1);
  const counts = Array.from({ length: 6 }, () => 0);
  for (let n = 0; n < 6000; n += 1) {
    const eyes = dice.below(6);
    counts[eyes] = (counts[eyes] ?? 0) + 1;
  }
  t.true(
    counts.every((count) => Math.abs(count - 1000) < 120),
    counts.join(),
  );
  t.is(new Set(dice.shuffled([1, 2, 3])).size, 3);
  t.throws(() => dice.pick([]), { message: /nothing to choose from/ });
});

test('growth() tells of memory beyond its tolerance, of files, and of processes that came or went', (t) => {
  const before = holdingsOf([
    { what: 'gateway', rssKiB: 65_536, files: 30 },
    { what: 'ip', rssKiB: 2048, files: 4 },
    { what: 'broker', rssKiB: 50_000, files: 20 },
  ]);
  t.deepEqual(growth(before, before), []);
  const fine = holdingsOf([
    { what: 'gateway', rssKiB: 65_536 * 1.25 + 8192, files: 30 },
    { what: 'ip', rssKiB: 9000, files: 3 },
    { what: 'broker', rssKiB: 50_000, files: 20 },
  ]);
  t.deepEqual(growth(before, fine), []);
  const grown = holdingsOf([
    { what: 'gateway', rssKiB: 91_000, files: 31 },
    { what: 'ip', rssKiB: 2048, files: 4 },
    { what: 'ip', rssKiB: 2048, files: 4 },
    { what: 'wg', rssKiB: 2048, files: 4 },
  ]);
  t.deepEqual(growth(before, grown), [
    'broker has gone',
    'gateway grew from 64 to 88.9 MiB',
    'gateway has 31 files open, not 30',
    'ip runs 2 times, not 1',
    'wg was not there before',
  ]);
  t.deepEqual(growth(most(before, grown), grown).length, 1, 'the broker');
});

test('differences() counts lines, and readState() leaves out what moves by itself', async (t) => {
  const at = async (said: string): Promise<readonly string[]> => readState(async () => said);
  const before = await at(
    '2: eth0@if7: <UP> mtu 1500\ninet6 fe80::1/64 valid_lft 86400sec preferred_lft 14400sec\na\na\n',
  );
  t.deepEqual(
    differences(
      before,
      await at('a\n9: eth0@if12: <UP> mtu 1500\na\ninet6 fe80::1/64 valid_lft 5sec preferred_lft 0sec\n'),
    ),
    [],
  );
  t.deepEqual(
    differences(
      before,
      await at('2: eth0@if7: <UP> mtu 1400\ninet6 fe80::1/64 valid_lft 1sec preferred_lft 1sec\na\n'),
    ),
    ['lost: a', 'lost: eth0: <UP> mtu 1500', 'new: eth0: <UP> mtu 1400'],
  );
  t.deepEqual(await at('net.netfilter.nf_conntrack_count = 7\nnet.ipv4.ip_forward = 1\n'), [
    'net.ipv4.ip_forward = 1',
  ]);
});
