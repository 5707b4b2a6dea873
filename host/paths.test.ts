// One host's prober over loopback, and who is told of what it finds.

import { createSocket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { KNOCK_PORT, PROBE_PORT } from '#lib/constants';
import type { Change, PathReport } from '#lib/health';
import { openLog } from '#lib/log';
import { openMetrics } from '#lib/metrics';
import { encodeProbe, parseProbe } from '#lib/probe';
import { PrivateKey } from '#lib/wireguard';
import { Events } from './events.ts';
import { Paths } from './paths.ts';
import type { PathsOptions, ProbedPath } from './paths.ts';

function paths(t: ExecutionContext, options: Partial<PathsOptions> = {}): Paths {
  const speak = (): ReturnType<PathsOptions['speak']> => ({
    impaired: false,
    draining: false,
    blocked: false,
  });
  const made = new Paths({ changed: () => {}, kick: () => {}, speak, ...options });
  t.teardown(() => made[Symbol.dispose]());
  return made;
}

/** Without a key, as between nodes of one cluster. */
function path(id: string, net: number, [from, to]: readonly [number, number]): ProbedPath {
  const ends = { local: `127.9.${net}.${from}`, remote: `127.9.${net}.${to}` };
  const spec = { id, neighbour: 'all', far: `${ends.local} ${ends.remote}`, isTunnel: true };
  return { spec, peer: { id, ends: [ends] } };
}

/** As between gateways. */
function sealed({ spec, peer }: ProbedPath): ProbedPath {
  const secret = { own: PrivateKey.generate(), peer: PrivateKey.generate().publicKey };
  return { spec, peer: { ...peer, secret } };
}

/** However late the machine is. */
async function until(t: ExecutionContext, what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds() && tries < 4000; tries += 1) await delay(5);
  t.true(holds(), what);
}

/** Somebody who takes datagrams and never answers, nor does its kernel. */
async function silent(t: ExecutionContext, address: string): Promise<() => number> {
  let heard = 0;
  for (const port of [PROBE_PORT, KNOCK_PORT]) {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    if (port === PROBE_PORT) socket.on('message', () => (heard += 1));
    await new Promise<void>((resolve) => socket.bind(port, address, resolve));
    t.teardown(() => void socket.close());
  }
  return () => heard;
}

test('Paths brings a path up, hears a kernel refuse for a daemon that ends, and hears the daemon again', async (t) => {
  const one = paths(t);
  const other = paths(t);
  one.hold({ paths: [path('a', 1, [1, 2])] });
  other.hold({ paths: [path('b', 1, [2, 1])] });
  await until(t, 'up', () => one.isUp('a') && other.isUp('b'));
  t.true(one.isSound('a') && one.answeredAt('a') !== undefined);
  other[Symbol.dispose]();
  await until(t, 'refused', () => one.report('a')?.refusedSince !== undefined);
  t.true(one.isUp('a'));
  const again = paths(t);
  again.hold({ paths: [path('b', 1, [2, 1])] });
  await until(t, 'back', () => one.report('a')?.refusedSince === undefined && again.isUp('b'));
  t.true(one.isUp('a'));
  t.deepEqual(
    one.report('a')?.history.map(({ to }) => to),
    ['up'],
  );
});

test('Paths takes a silent path down, tells of it once, and has it made anew', async (t) => {
  await silent(t, '127.9.2.2');
  const told: Change[] = [];
  const kicked = new Set<string>();
  const own = paths(t, {
    changed: (changes) => void told.push(...changes),
    kick: (ids) => {
      for (const id of ids) kicked.add(id);
    },
  });
  const { spec, peer } = path('a', 2, [1, 2]);
  own.hold({ paths: [{ spec: { ...spec, isProven: true }, peer }] });
  t.true(own.isUp('a'));
  own.traffic({ neighbours: new Set(['all']), clusters: new Set() });
  await until(t, 'down', () => !own.isUp('a'));
  await until(t, 'kicked', () => kicked.has('a'));
  t.deepEqual(
    told.map(({ path: id, from, to }) => `${id} ${from} ${to}`),
    ['a up down'],
  );
});

test('Paths hears what far ends say of themselves, and forgets it with them', async (t) => {
  const says = { impaired: false, draining: false, blocked: false, reach: new Set([2, 9]) };
  let news = 0;
  const one = paths(t, {
    changed: (changes) => {
      if (changes.length === 0) news += 1;
    },
  });
  const other = paths(t, { speak: () => says });
  const there = path('a', 3, [1, 2]);
  one.hold({ paths: [there] });
  other.hold({ paths: [path('b', 3, [2, 1])] });
  await until(t, 'reach', () => one.told('a')?.reach?.has(9) === true);
  t.deepEqual(one.told('a'), says);
  const before = news;
  says.draining = true;
  other.announce(['b']);
  await until(t, 'draining', () => one.told('a')?.draining === true);
  t.is(news, before + 1, 'only what is new');
  one.hold({ paths: [{ ...there, spec: { ...there.spec, far: 'somebody else' } }] });
  t.deepEqual([one.told('a'), one.answeredAt('a')], [undefined, undefined]);
  one.hold({ paths: [] });
  t.deepEqual([...one.reports()], []);
});

test('Paths asks back at once whoever has news that only answers tell, and nobody without end', async (t) => {
  const says = { impaired: false, draining: false, blocked: false, reach: new Set([2]) };
  let frozen: number | undefined;
  const one = paths(t, { now: () => frozen ?? performance.now() });
  const other = paths(t, { speak: () => says });
  one.hold({ paths: [path('a', 8, [1, 2])] });
  other.hold({ paths: [path('b', 8, [2, 1])] });
  await until(t, 'reach', () => one.told('a')?.reach?.has(2) === true);
  // From here on nothing is due, however long it takes.
  frozen = (one.answeredAt('a') ?? 0) + 25;
  says.reach = new Set([2, 9]);
  other.announce(['b']);
  await until(t, 'the rest', () => one.told('a')?.reach?.has(9) === true);
  says.reach = new Set();
  other.announce(['b']);
  await delay(100);
  t.is(one.told('a')?.reach?.size, 2, 'it has asked a moment ago');
});

test('Paths asks no more often for the news of somebody who never answers', async (t) => {
  let frozen: number | undefined;
  const own = paths(t, { now: () => frozen ?? performance.now() });
  const far = createSocket('udp4');
  const heard: Buffer[] = [];
  far.on('message', (bytes) => void heard.push(bytes));
  await new Promise<void>((resolve) => far.bind(PROBE_PORT, '127.9.10.2', resolve));
  t.teardown(() => void far.close());
  own.hold({ paths: [path('a', 10, [1, 2])] });
  await until(t, 'asked', () => heard.length > 0);
  // From here on nothing is due, however long it takes.
  frozen = performance.now();
  await delay(50);
  const ask = parseProbe(heard[0] ?? Buffer.alloc(0));
  if (typeof ask === 'string') throw new TypeError(ask);
  const before = heard.length;
  const news = encodeProbe({ ...ask, isNews: true });
  for (let count = 0; count < 20; count += 1) far.send(news, PROBE_PORT, '127.9.10.1');
  await until(t, 'answered', () => heard.length - before >= 20);
  await delay(50);
  t.is(heard.length - before, 21, 'twenty answers, and one ask');
});

test('Paths.announce() goes as far as the budget, and goes on when there is more', async (t) => {
  const heard = await silent(t, '127.9.4.2');
  let frozen: number | undefined = performance.now();
  const own = paths(t, { now: () => frozen ?? performance.now() });
  const all = Array.from({ length: 300 }, (_, at) => path(`p${at}`, 4, [1, 2]));
  own.hold({ paths: all.slice(0, 1) });
  frozen = undefined;
  await until(t, 'the socket stands', () => heard() > 0);
  frozen = performance.now();
  own.hold({ paths: all.map(({ spec, peer }) => ({ spec: { ...spec, isProven: true }, peer })) });
  await delay(100);
  const before = heard();
  own.announce(all.map(({ spec }) => spec.id));
  await delay(100);
  t.true(heard() - before <= 100, `${heard() - before} at once`);
  frozen = undefined;
  await until(t, 'all', () => heard() - before >= 300);
});

test('Paths asks through gateways, and judges one by who answers behind it and behind another', async (t) => {
  const told: string[] = [];
  const nets: Readonly<Record<string, number>> = { 'west/0': 5, 'west/1': 6 };
  const options: Partial<PathsOptions> = {
    through: ({ gateway, responder }) => ({ path: gateway, to: `127.9.${nets[gateway]}.${10 + responder}` }),
    changed: (changes) => void told.push(...changes.map(({ what, path: id, to }) => `${what} ${id} ${to}`)),
  };
  const own = paths(t, options);
  const [behind, elsewhere] = [paths(t), paths(t)];
  behind.hold({ paths: [], echoes: new Set(['127.9.5.12']) });
  elsewhere.hold({ paths: [], echoes: new Set(['127.9.6.12']) });
  own.hold({
    paths: [sealed(path('west/0', 5, [1, 2])), sealed(path('west/1', 6, [1, 2]))],
    gateways: ['west/0', 'west/1'].map((id) => ({ id, cluster: 'west', responders: 3 })),
  });
  t.is(own.forwards('west/0'), 'unknown');
  await until(t, 'both forward', () => own.forwards('west/0') === 'yes' && own.forwards('west/1') === 'yes');
  own.traffic({ neighbours: new Set(), clusters: new Set(['west']) });
  behind[Symbol.dispose]();
  await until(t, 'one does not', () => own.forwards('west/0') === 'no');
  t.deepEqual(told.filter((text) => text.startsWith('forwards')).toSorted(), [
    'forwards west/0 no',
    'forwards west/0 yes',
    'forwards west/1 yes',
  ]);
});

test('Events measures every path that there is when somebody asks', async (t) => {
  const report: PathReport = {
    id: 'west/0#0',
    neighbour: 'west',
    state: 'up',
    since: 0,
    misses: 0,
    loss: { lost: 1, of: 32 },
    lossRate: 0.02,
    rttMs: 12.5,
    mtu: 1420,
    isSizing: false,
    hears: 'yes',
    farHears: 'yes',
    history: [],
  };
  const metrics = openMetrics({ component: 'test', version: '0' });
  const log = openLog({ component: 'test', destination: { write: () => {} } });
  const { rttMs: _r, mtu: _m, ...silent } = report;
  const reports = (): PathReport[] => [report, { ...silent, id: 'node gw-1', state: 'unknown' }];
  void new Events({ log, metrics, paths: { answeredAt: () => undefined, reports } });
  const lines = (await metrics.metrics()).split('\n').filter((line) => line.startsWith('isthmus_path_'));
  t.deepEqual(lines, [
    'isthmus_path_state{path="west/0#0",state="up"} 1',
    'isthmus_path_state{path="node gw-1",state="unknown"} 1',
    'isthmus_path_rtt_seconds{path="west/0#0"} 0.0125',
    'isthmus_path_loss_ratio{path="west/0#0"} 0.02',
    'isthmus_path_loss_ratio{path="node gw-1"} 0.02',
    'isthmus_path_mtu_bytes{path="west/0#0"} 1420',
  ]);
});

test('Events tells nothing before the kernel has it, and then how long it took', async (t) => {
  const lines: string[] = [];
  const log = openLog({ component: 'test', destination: { write: (line) => void lines.push(line) } });
  const metrics = openMetrics({ component: 'test', version: '0' });
  const answeredAt = (id: string): number | undefined => (id === 'west/0#0' ? 1000 : undefined);
  const events = new Events({ log, metrics, paths: { answeredAt, reports: () => [] } });
  const down: Change = {
    what: 'state',
    at: 1300,
    path: 'west/0#0',
    from: 'up',
    to: 'down',
    reason: { kind: 'unanswered', lost: 4, siblingAnswers: true },
  };
  events.add([down]);
  events.add([
    { ...down, path: 'west/1#0', from: 'unknown', to: 'up', reason: { kind: 'answers' } },
    { what: 'mtu', at: 1300, path: 'west/1#0', from: 1280, to: 1420, reason: 'found' },
  ]);
  events.tell(1340);
  t.deepEqual(lines, [], 'that plan was made before');
  events.heed();
  t.deepEqual(lines, []);
  t.regex(await metrics.metrics(), /isthmus_failover_seconds_count 0/);
  events.add([{ ...down, path: 'west/2#0' }]);
  events.tell(1350);
  t.deepEqual(
    lines.map((line) => /"message":"([^"]*)"/.exec(line)?.[1]),
    [
      'path west/0#0 down: 4 of 4 probes unanswered, sibling answers',
      'path west/1#0 up: the first probe is answered',
      'path west/1#0 mtu 1280 → 1420: largest packet that arrives',
    ],
  );
  const text = await metrics.metrics();
  t.regex(text, /isthmus_failover_seconds_bucket\{le="0\.4"\} 1/);
  t.regex(text, /isthmus_failover_seconds_bucket\{le="0\.3"\} 0/);
  t.regex(text, /isthmus_path_changes_total\{to="size",reason="found"\} 1/);
  events.tell(9000);
  t.is(lines.length, 3, 'once');
  events.heed();
  events.tell(9000);
  t.is(lines.length, 4, 'what came while the plan was on its way');
  for (let pass = 0; pass < 3; pass += 1) {
    for (let count = 0; count < 700; count += 1) events.add([down]);
    events.heed();
  }
  events.tell(9000);
  t.is(lines.length, 1004, 'a host that is not told for long remembers the last of them');
});
