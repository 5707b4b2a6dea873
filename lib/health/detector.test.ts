// The detector in virtual time: faults, and how long they take to be seen.

import test from 'ava';
import { describeChange } from './change.ts';
import type { PathChange } from './driving.ts';
import { Simulation } from './simulation.ts';
import type { Packet } from './simulation.ts';
import type { PathSpec } from './watched.ts';

/** Two gateways of `west` with `lanes` lanes each. */
function paths(lanes: number, more: Partial<PathSpec> = {}, neighbour = 'west'): PathSpec[] {
  return [0, 1].flatMap((gateway) =>
    Array.from({ length: lanes }, (_, lane) => {
      const id = `${neighbour}/${gateway}#${lane}`;
      return { id, neighbour, far: `key of ${id}`, isTunnel: true, ...more };
    }),
  );
}

function seeds(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

/** The first change of this path to this state, in milliseconds after `start`. */
function when(changes: readonly PathChange[], path: string, to: string, start = 0): number {
  const found = changes.find((change) => change.path === path && change.to === to && change.at >= start);
  return (found?.at ?? Infinity) - start;
}

function texts(changes: readonly PathChange[], start: number): readonly string[] {
  return changes.filter(({ at }) => at >= start).map((change) => describeChange(change));
}

/** A network of 2 ms each way that loses what `isLost` says. */
function lossy(isLost: (packet: Packet) => boolean): (packet: Packet) => number | undefined {
  return (packet) => (isLost(packet) ? undefined : 2);
}

/** Begins with all paths up, then lets something happen at `fault.at`. */
function faulty(
  isLost: (packet: Packet, sinceMs: number) => boolean,
  {
    seed = 1,
    hasTraffic = true,
    isMutual = false,
    isKnocking = false,
    specs = paths(2),
    settleMs = 5000,
  } = {},
): { simulation: Simulation; start: number } {
  let start = Infinity;
  const network = lossy((packet) => packet.now >= start && isLost(packet, packet.now - start));
  const simulation = new Simulation({ paths: specs, network, seed, isMutual, isKnocking });
  if (hasTraffic) simulation.traffic('west');
  simulation.run(settleMs + 1000 * simulation.random());
  start = simulation.now;
  return { simulation, start };
}

const FIRST = 'west/0#0';
const isFirst = ({ path }: Packet): boolean => path === FIRST;

test('Detector has every path up after its first answer', (t) => {
  const simulation = new Simulation({ paths: paths(2), network: () => 2 }).run(1000);
  t.deepEqual(
    texts(simulation.here.changes, 0).toSorted(),
    paths(2).map(({ id }) => `path ${id} up: the first probe is answered`),
  );
  t.deepEqual(
    simulation.here.detector.report(FIRST)?.rttMs,
    4,
    'the round trip is what the network makes of it',
  );
});

test('Detector judges a dead path with traffic within 350 ms, and says why', (t) => {
  for (const seed of seeds(40)) {
    const { simulation, start } = faulty(isFirst, { seed });
    simulation.run(1000);
    const ms = when(simulation.here.changes, FIRST, 'down', start);
    t.true(ms <= 350, `seed ${seed}: ${ms} ms`);
    t.deepEqual(texts(simulation.here.changes, start), [
      `path ${FIRST} down: 4 of 4 probes unanswered, sibling answers`,
    ]);
    t.is(simulation.here.detector.report(FIRST)?.lossRate, 1, 'what is down loses all');
  }
});

test('Detector judges a dead path far away not much later than a round trip after that', (t) => {
  let start = Infinity;
  const network = (packet: Packet): number | undefined =>
    isFirst(packet) && packet.now >= start ? undefined : 60 + 4 * packet.chance;
  const simulation = new Simulation({ paths: paths(1), network }).traffic('west').run(5000);
  start = simulation.now;
  const ms = when(simulation.run(2000).here.changes, FIRST, 'down', start);
  t.true(ms <= 350 + 130, `${ms} ms`);
});

test('Detector judges the last path of a dead neighbour with traffic later than the others, and within 650 ms', (t) => {
  for (const seed of seeds(40)) {
    const { simulation, start } = faulty(() => true, { seed });
    simulation.run(2000);
    const times = paths(2).map(({ id }) => when(simulation.here.changes, id, 'down', start));
    const [last = Infinity, ...others] = times.toSorted((a, b) => b - a);
    t.true(last >= 450 && last <= 650, `seed ${seed}: ${last} ms`);
    t.true(Math.max(...others) <= 350, `seed ${seed}: ${others.join(', ')} ms`);
  }
});

test('Detector of a process that naps all the time ends the only path all the same', (t) => {
  const { simulation } = faulty(() => true, { specs: paths(1).slice(0, 1), settleMs: 3000 });
  for (let nap = 0; nap < 20; nap += 1) {
    simulation.here.asleepUntil = simulation.now + 1200;
    simulation.run(1210);
  }
  t.is(simulation.here.changes.at(-1)?.to, 'down');
});

test('Detector judges a dead idle path within 4 s', (t) => {
  for (const seed of seeds(40)) {
    const { simulation, start } = faulty(isFirst, { seed, hasTraffic: false });
    const ms = when(simulation.run(4000).here.changes, FIRST, 'down', start);
    t.true(ms <= 1500, `seed ${seed}: ${ms} ms`);
  }
});

test('Detector asks the paths of a neighbour in doubt at the busy pace, and others at 1 Hz', (t) => {
  const specs = [...paths(1), ...paths(1, {}, 'north')];
  const { simulation, start } = faulty(isFirst, { specs, hasTraffic: false });
  const before = simulation.here.detector.report('west/1#0')?.loss.of ?? 0;
  simulation.run(1400);
  t.true(when(simulation.here.changes, FIRST, 'down', start) < 1400);
  const after = simulation.here.detector.report('west/1#0')?.loss.of ?? 0;
  t.true(after - before >= 3, `${after - before} asks of the sibling`);
  const north = simulation.here.detector.report('north/0#0')?.loss.of ?? 0;
  t.true(north <= 9, `${north} asks of another neighbour's in 8 s`);
});

test('Detector says when no sibling answers either, and comes back within a second of the repair', (t) => {
  for (const seed of seeds(20)) {
    const { simulation, start } = faulty((_, sinceMs) => sinceMs < 20_000, { seed });
    simulation.run(20_000);
    const said = texts(simulation.here.changes, start);
    t.is(said.filter((text) => text.endsWith('no sibling answers')).length, 1, said.join('\n'));
    simulation.run(1500);
    const ms = Math.min(...paths(2).map(({ id }) => when(simulation.here.changes, id, 'up', start + 20_000)));
    t.true(ms <= 600, `seed ${seed}: ${ms} ms`);
    t.true(simulation.here.kicks >= 4 * 20, `${simulation.here.kicks} kicks of 4 tunnels in 20 s`);
    t.true(simulation.here.kicks <= 4 * 60);
  }
});

test('Detector has a path with 30 % loss out within 2 s, in 19 of 20 cases', (t) => {
  for (const isKnocking of [false, true]) {
    let out = 0;
    const all = seeds(200);
    for (const seed of all) {
      const isLost = (packet: Packet): boolean =>
        isFirst(packet) && packet.to === 'there' && packet.chance < 0.3;
      const { simulation, start } = faulty(isLost, { seed, isKnocking, specs: paths(1), settleMs: 3000 });
      if (when(simulation.run(2000).here.changes, FIRST, 'down', start) <= 2000) out += 1;
    }
    t.log(`${out} of ${all.length}`);
    t.true(out >= 0.95 * all.length, `${out} of ${all.length}`);
  }
});

test('Detector has a path with 30 % loss out as soon where the others were dead a moment ago', (t) => {
  let out = 0;
  const all = seeds(100);
  for (const seed of all) {
    const isLost = (packet: Packet, sinceMs: number): boolean => {
      if (!isFirst(packet)) return sinceMs < 8000;
      return sinceMs > 11_000 && packet.to === 'there' && packet.chance < 0.3;
    };
    const { simulation, start } = faulty(isLost, { seed, isKnocking: true, specs: paths(1), settleMs: 3000 });
    simulation.run(13_000);
    if (when(simulation.here.changes, FIRST, 'down', start) <= 13_000) out += 1;
  }
  t.log(`${out} of ${all.length}`);
  t.true(out >= 0.9 * all.length, `${out} of ${all.length}`);
});

test('Detector judges a dead path as soon whose last losses its far kernel had answered', (t) => {
  for (const seed of seeds(40)) {
    const isLost = (packet: Packet, sinceMs: number): boolean =>
      isFirst(packet) && (sinceMs > 2000 || (packet.to === 'there' && packet.chance < 0.05));
    const { simulation, start } = faulty(isLost, { seed, isKnocking: true });
    const ms = when(simulation.run(3000).here.changes, FIRST, 'down', start);
    t.true(ms > 2000 && ms <= 2450, `seed ${seed}: ${ms} ms`);
  }
});

test('Detector leaves a path with 30 % loss out, and takes it when nothing else is left', (t) => {
  const isLost = (packet: Packet, sinceMs: number): boolean =>
    isFirst(packet) ? packet.chance < 0.2 : sinceMs > 60_000;
  const { simulation, start } = faulty(isLost, { specs: paths(1) });
  simulation.run(60_000);
  const ups = simulation.here.changes.filter(
    ({ at, path, to }) => path === FIRST && to === 'up' && at > start,
  );
  t.deepEqual(ups, []);
  const [loss] = texts(simulation.here.changes, start);
  t.regex(
    loss ?? '',
    /^path west\/0#0 down: \d+ of \d+ probes (lost, sibling lost 0|unanswered, sibling answers)$/,
  );
  const ms = when(simulation.run(2000).here.changes, FIRST, 'up', start + 60_000);
  t.true(ms <= 1500, `${ms} ms`);
});

test('Detector does not eject a path with 1 % loss in an hour of traffic', (t) => {
  const isLost = (packet: Packet): boolean =>
    isFirst(packet) && packet.to === 'there' && packet.chance < 0.01;
  const { simulation, start } = faulty(isLost, { specs: paths(1) });
  simulation.run(3_600_000);
  t.deepEqual(texts(simulation.here.changes, start), []);
  t.true(simulation.here.asked.length > 90_000, 'both paths were asked at the busy pace');
});

test('Detector does not eject paths that share their loss, once it knows of it', (t) => {
  const said = seeds(10).flatMap((seed) => {
    const network = lossy(({ chance }) => chance < 0.05);
    const simulation = new Simulation({ paths: paths(2), network, seed }).traffic('west').run(10_000);
    const start = simulation.now;
    return texts(simulation.run(20_000).here.changes, start).filter((text) => text.includes('lost'));
  });
  t.deepEqual(said, []);
});

test('Detector switches at most three times while a path flaps at 1 Hz for 30 s', (t) => {
  for (const halfMs of [250, 500, 700, 1000]) {
    for (const seed of seeds(4)) {
      const isLost = (packet: Packet, sinceMs: number): boolean =>
        isFirst(packet) && sinceMs < 30_000 && Math.floor(sinceMs / halfMs) % 2 === 0;
      const { simulation, start } = faulty(isLost, { seed });
      simulation.run(30_000);
      const switches = simulation.here.changes.filter(
        ({ at, from, to }) => at >= start && (from === 'up' || to === 'up'),
      );
      t.true(switches.length <= 3, `${halfMs} ms, seed ${seed}: ${texts(switches, 0).join('\n')}`);
      t.true(switches.every(({ path }) => path === FIRST));
      t.true(when(simulation.run(60_000).here.changes, FIRST, 'up', start + 30_000) < 60_000, 'it returns');
    }
  }
});

test('Detector blames nobody for its own sleep', (t) => {
  for (const isMutual of [false, true]) {
    for (const seed of seeds(20)) {
      const { simulation, start } = faulty(() => false, { seed, isMutual });
      simulation.here.asleepUntil = simulation.now + 10_000;
      simulation.run(15_000);
      t.deepEqual(texts(simulation.here.changes, start), [], `seed ${seed}`);
      const far = simulation.there.changes.filter(({ at, to }) => at >= start && to === 'down');
      t.is(far.length, isMutual ? 4 : 0, 'whoever waited for it blames it, and rightly so');
      t.true(
        paths(2).every(({ id }) => !isMutual || simulation.there.detector.isUp(id)),
        'for as long as it lasts',
      );
    }
  }
});

test('Detector that is late again and again blames nobody who lives, and finds who is dead', (t) => {
  const { simulation, start } = faulty(isFirst);
  const { here } = simulation;
  for (let nap = 0; nap < 20; nap += 1) {
    here.asleepUntil = simulation.now + 150;
    simulation.run(155);
  }
  t.deepEqual(texts(here.changes, start), [`path ${FIRST} down: 4 of 4 probes unanswered, sibling answers`]);
});

test('Detector keeps a path whose far daemon is stopped for a minute, and says so', (t) => {
  for (const [hasTraffic, isKnocking] of [
    [true, false],
    [false, false],
    [true, true],
    [false, true],
  ] as const) {
    const { simulation, start } = faulty(() => false, { hasTraffic, isKnocking });
    simulation.there.isStopped = true;
    simulation.run(60_000);
    t.deepEqual(texts(simulation.here.changes, start), []);
    const since = simulation.here.detector.report(FIRST)?.refusedSince ?? Infinity;
    t.true(since - start < 1200);
    const before = simulation.here.asked.length;
    simulation.run(11_000);
    const asked = simulation.here.asked.length - before;
    t.true(asked >= 36 && asked <= 40, `4 paths were asked ${asked} times in 11 s`);
    simulation.there.isStopped = false;
    simulation.run(1200);
    t.is(simulation.here.detector.report(FIRST)?.refusedSince, undefined);
  }
});

test('Detector keeps a path whose far daemon is stopped, however far away it is', (t) => {
  for (const oneWayMs of [2, 25, 50, 100, 150, 250]) {
    for (const hasTraffic of [true, false]) {
      const network = (): number => oneWayMs;
      const simulation = new Simulation({ paths: paths(1), network, seed: oneWayMs, isKnocking: true });
      if (hasTraffic) simulation.traffic('west');
      simulation.run(10_000).there.isStopped = true;
      const start = simulation.now;
      simulation.run(20_000);
      t.deepEqual(texts(simulation.here.changes, start), [], `${oneWayMs} ms, with traffic: ${hasTraffic}`);
    }
  }
});

test('Detector finds a path dead within 4 s whose far daemon was stopped', (t) => {
  for (const seed of seeds(20)) {
    const isLost = (packet: Packet, sinceMs: number): boolean => isFirst(packet) && sinceMs > 10_000;
    const { simulation, start } = faulty(isLost, { seed, isKnocking: seed % 2 === 0 });
    simulation.there.isStopped = true;
    simulation.run(16_000);
    const ms = when(simulation.here.changes, FIRST, 'down', start + 10_000);
    t.true(ms > 0 && ms <= 4000, `seed ${seed}: ${ms} ms`);
  }
});

test('Detector has a path that is dead one way down at both ends', (t) => {
  for (const deaf of ['here', 'there'] as const) {
    for (const seed of seeds(20)) {
      const { simulation, start } = faulty((packet) => isFirst(packet) && packet.to === deaf, {
        seed,
        isMutual: true,
      });
      simulation.there.detector.traffic(new Set(), simulation.now);
      simulation.run(2000);
      const [here, there] = [simulation.here, simulation.there].map(({ changes }) =>
        when(changes, FIRST, 'down', start),
      );
      t.true((here ?? Infinity) <= 350, `${deaf}, seed ${seed}: ${here} ms`);
      t.true((there ?? Infinity) <= 450, `${deaf}, seed ${seed}: ${there} ms`);
      t.deepEqual(
        [simulation.here.detector.hears(FIRST), simulation.here.detector.isUp('west/1#0')],
        ['no', true],
      );
    }
  }
});

test('Detector believes a far end that hears nothing of it', (t) => {
  const { simulation, start } = faulty(() => false);
  const { detector } = simulation.here;
  const changes = detector.heard(FIRST, 'no', simulation.now);
  t.deepEqual(texts(changes, start), [`path ${FIRST} down: far end does not hear us`]);
  t.deepEqual(
    [detector.isUp(FIRST), detector.isSound(FIRST), detector.isSound('west/1#0')],
    [false, false, true],
  );
  t.is(detector.hears(FIRST), 'yes', 'it tells of its own asks only: else both would wait for each other');
  simulation.run(1500);
  t.true(detector.isUp(FIRST));
});

test('Detector keeps a thousand idle clusters of four paths within the budget, and sees one die within 4 s', (t) => {
  let isDead = false;
  const specs = Array.from({ length: 1000 }, (_, index) =>
    paths(2, { ceiling: 1420, isProven: true, size: 1420 }, `c${index}`),
  ).flat();
  const network = lossy(({ path }) => isDead && path === 'c7/0#0');
  const simulation = new Simulation({ paths: specs, network }).run(10_000);
  const from = simulation.now;
  const cpu = process.cpuUsage();
  simulation.run(20_000);
  const { user } = process.cpuUsage(cpu);
  t.log(`${Math.round(user / 20_000)} ms of a core for each second, network included`);
  t.true(
    mostInASecond(simulation.here.asked) <= 2000,
    `${mostInASecond(simulation.here.asked)} packets in a second`,
  );
  t.deepEqual(texts(simulation.here.changes, from), []);
  const spans = [...simulation.here.detector.reports()].map(({ loss }) => loss.of);
  t.true(
    Math.min(...spans) >= 8 && Math.max(...spans) <= 30,
    `${Math.min(...spans)} to ${Math.max(...spans)} asks in 30 s`,
  );
  isDead = true;
  const start = simulation.now;
  const ms = when(simulation.run(5000).here.changes, 'c7/0#0', 'down', start);
  t.true(ms <= 4000, `${ms} ms`);
});

test('Detector sees half of a thousand clusters fall silent, and one path more, within its budget', (t) => {
  const specs = Array.from({ length: 1000 }, (_, index) => paths(1, {}, `c${index}`)).flat();
  let [isOut, isDead] = [false, false];
  const network = lossy(({ path }) => (isOut && /^c[5-9]\d\d/.test(path)) || (isDead && path === 'c7/0#0'));
  const simulation = new Simulation({ paths: specs, network }).run(5000);
  const { changes, asked } = simulation.here;
  const times = (to: string, start: number): number[] =>
    changes.flatMap((change) => (change.at >= start && change.to === to ? [change.at - start] : []));
  let start = simulation.now;
  isOut = true;
  simulation.run(8000);
  const downs = times('down', start);
  t.is(downs.length, 1000, 'exactly those');
  t.true(Math.max(...downs) <= 7000, `the last after ${Math.max(...downs)} ms`);
  start = simulation.now;
  isDead = true;
  simulation.run(5000);
  const ms = when(changes, 'c7/0#0', 'down', start);
  t.true(ms <= 4000, `one more after ${ms} ms`);
  start = simulation.now;
  isOut = false;
  simulation.run(5000);
  t.is(times('up', start).length, 1000);
  t.true(Math.max(...times('up', start)) <= 4000, `all back after ${Math.max(...times('up', start))} ms`);
  t.true(mostInASecond(asked) <= 2000, `${mostInASecond(asked)} packets in a second`);
});

test('Detector keeps the pace of 32 busy neighbours among a thousand', (t) => {
  let isDead = false;
  const network = lossy(({ path }) => isDead && path === 'c7/0#0');
  const specs = Array.from({ length: 1000 }, (_, index) => paths(2, {}, `c${index}`)).flat();
  const simulation = new Simulation({ paths: specs, network }).run(5000);
  simulation.traffic(...Array.from({ length: 32 }, (_, index) => `c${index}`)).run(5000);
  const start = simulation.now;
  isDead = true;
  simulation.run(1000);
  t.true(mostInASecond(simulation.here.asked) <= 2000);
  const ms = when(simulation.here.changes, 'c7/0#0', 'down', start);
  t.true(ms <= 350, `${ms} ms`);
});

test('Detector keeps the pace of a busy neighbour beside a thousand busy paths that give way, and asks these by turns', (t) => {
  let isDead = false;
  const network = lossy(({ path }) => isDead && (path === FIRST || path === 'workers/0#7'));
  const workers = paths(500, { isTunnel: false, yields: true }, 'workers');
  const simulation = new Simulation({ paths: [...paths(2), ...workers], network }).run(5000);
  simulation.traffic('west', 'workers').run(5000);
  const start = simulation.now;
  const sequence = (id: string): number => simulation.here.detector.path(id)?.sequence ?? 0;
  const before = new Map(workers.map(({ id }) => [id, sequence(id)]));
  simulation.run(1000);
  const asked = workers.map(({ id }) => sequence(id) - (before.get(id) ?? 0));
  t.true(
    Math.min(...asked) >= 1 && Math.max(...asked) <= 3,
    `${Math.min(...asked)} to ${Math.max(...asked)} a second`,
  );
  t.true(mostInASecond(simulation.here.asked) <= 2000);
  t.deepEqual(texts(simulation.here.changes, start), []);
  isDead = true;
  const dead = simulation.now;
  simulation.run(5000);
  const ms = when(simulation.here.changes, FIRST, 'down', dead);
  t.true(ms <= 350, `${ms} ms`);
  const late = when(simulation.here.changes, 'workers/0#7', 'down', dead);
  t.true(late <= 4000, `one that gives way after ${late} ms`);
});

test('Detector keeps the last ten changes of each path', (t) => {
  const { simulation } = faulty((packet, sinceMs) => isFirst(packet) && Math.floor(sinceMs / 1000) % 2 === 0);
  simulation.run(30_000);
  const history = simulation.here.detector.report(FIRST)?.history ?? [];
  t.is(history.length, 10);
  t.deepEqual(history, simulation.here.changes.filter(({ path }) => path === FIRST).slice(-10));
});

test('watch() keeps what is known of paths that stay, and nothing of those that lead elsewhere', (t) => {
  const { simulation } = faulty(() => false, { specs: paths(1) });
  const { detector } = simulation.here;
  detector.watch([...paths(1, { far: 'another key' }).slice(0, 1), ...paths(1).slice(1)], simulation.now);
  t.deepEqual([...detector.reports()].map(({ id, state }) => `${id} ${state}`).toSorted(), [
    'west/0#0 unknown',
    'west/1#0 up',
  ]);
  detector.watch([], simulation.now);
  t.deepEqual([...detector.reports()], []);
  t.deepEqual(detector.answered(FIRST, { sequence: 1, size: 0, hears: 'yes' }, simulation.now), []);
});

/** Most of these times that lie within one second. */
function mostInASecond(times: readonly number[]): number {
  let most = 0;
  let first = 0;
  for (const [index, time] of times.entries()) {
    while ((times[first] ?? time) <= time - 1000) first += 1;
    most = Math.max(most, index - first + 1);
  }
  return most;
}

// ── Packet sizes ─────────────────────────────────────────────────────────────────────────────────────────────────

/** What a packet of this size becomes outside: WireGuard pads to 16 but not beyond its device, and adds 60. */
function outside(size: number, ceiling: number): number {
  return Math.min(16 * Math.ceil(size / 16), ceiling) + 60;
}

for (const [wire, expected] of [
  [1500, 1420],
  [1368, 1296],
  [1340, 1280],
  [1296, 1232],
] as const) {
  test(`Detector finds the size of a path that carries ${wire} bytes outside`, (t) => {
    for (const chanceOfLoss of [0, 0.02]) {
      const network = lossy(({ size, chance }) => outside(size, 1420) > wire || chance < chanceOfLoss);
      const specs = paths(1, { ceiling: 1420 });
      const simulation = new Simulation({ paths: specs, network }).traffic('west').run(4000);
      const report = simulation.here.detector.report(FIRST);
      t.deepEqual([report?.mtu, report?.isSizing, report?.state], [expected, false, 'up']);
      const above = simulation.here.changes.filter(
        (change) => change.what === 'mtu' && change.to > Math.max(expected, 1280),
      );
      t.deepEqual(above, [], 'never above, not even for a while');
    }
  });

  test(`Detector finds a black hole for more than ${wire} bytes outside within 3 s`, (t) => {
    for (const seed of seeds(20)) {
      const isLost = ({ size }: Packet): boolean => outside(size, 1420) > wire;
      const { simulation, start } = faulty(isLost, { seed, specs: paths(1, { ceiling: 1420 }) });
      t.is(simulation.here.detector.report(FIRST)?.mtu, 1420);
      const { changes, detector } = simulation.run(3000).here;
      const report = detector.report(FIRST);
      t.deepEqual([report?.mtu, report?.isSizing, report?.state], [expected, false, 'up'], `seed ${seed}`);
      const dropped = changes.findLast(
        ({ what, at, from, to }) => what === 'mtu' && at >= start && from > to,
      );
      const safeMs = wire === 1500 ? 0 : (dropped?.at ?? Infinity) - start;
      t.true(safeMs <= 1500, `after ${safeMs} ms nothing is lost any more`);
    }
  });
}

test('Detector raises the size again ten minutes after the hole is gone, or when the path has come back', (t) => {
  for (const isBroken of [false, true]) {
    const isLost = (packet: Packet, sinceMs: number): boolean =>
      (sinceMs < 25_000 && packet.size > 1300) ||
      (isBroken && sinceMs > 26_000 && sinceMs < 28_000 && isFirst(packet));
    const { simulation } = faulty(isLost, { specs: paths(1, { ceiling: 1420 }) });
    simulation.run(25_900);
    t.is(simulation.here.detector.report(FIRST)?.mtu, 1296);
    if (isBroken) simulation.run(10_000);
    else {
      simulation.run(580_000);
      t.is(simulation.here.detector.report(FIRST)?.mtu, 1296, 'it was found twice');
      simulation.run(25_000);
    }
    t.is(simulation.here.detector.report(FIRST)?.mtu, 1420);
  }
});

test('Detector soon asks for more than a size that it has just found', (t) => {
  const isLost = (packet: Packet, sinceMs: number): boolean => sinceMs < 5000 && packet.size > 1300;
  const { simulation } = faulty(isLost, { specs: paths(1, { ceiling: 1420 }) });
  simulation.run(5900);
  t.is(simulation.here.detector.report(FIRST)?.mtu, 1296);
  simulation.run(9000);
  t.is(simulation.here.detector.report(FIRST)?.mtu, 1420);
});

test('Detector raises the size of a path that is too narrow for IPv6 within a quarter of a minute', (t) => {
  const isLost = (packet: Packet, sinceMs: number): boolean => sinceMs < 30_000 && packet.size > 1240;
  const { simulation } = faulty(isLost, { specs: paths(1, { ceiling: 1420 }) });
  simulation.run(29_000);
  t.is(simulation.here.detector.report(FIRST)?.mtu, 1232);
  simulation.run(16_000);
  t.is(simulation.here.detector.report(FIRST)?.mtu, 1420);
});

test('Detector does not take a dead path for a black hole', (t) => {
  const { simulation, start } = faulty((packet, sinceMs) => isFirst(packet) && sinceMs < 5000, {
    specs: paths(1, { ceiling: 1420 }),
  });
  simulation.run(10_000);
  t.deepEqual(
    simulation.here.changes.filter(({ what, at }) => what === 'mtu' && at > start),
    [],
  );
});
