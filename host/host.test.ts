// What both daemons stand on: the lock, the loop, key files, the kernel's monitor lines, conditions.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import { openLog } from '#lib/log';
import { openMetrics } from '#lib/metrics';
import type { Run } from '#lib/linux';
import { parseAddress } from '#lib/ip';
import { FactsReader, readFacts } from './facts.ts';
import { UsageError, parseFlags } from './flags.ts';
import { laneKeys } from './keys.ts';
import { HostLockedError, lockHost } from './lock.ts';
import { Loop } from './loop.ts';
import { kernelChange, kernelWatches } from './monitor.ts';
import { Pace } from './pace.ts';
import { Conditions, exposeConditions } from './report.ts';

async function directory(t: { teardown: (f: () => Promise<void>) => void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'isthmus-host-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('lockHost() refuses a second one and names the first', async (t) => {
  const dir = await directory(t);
  const first = await lockHost(dir, 'isthmus-gateway', dir);
  const error = await t.throwsAsync(lockHost(dir, 'isthmus-route-agent', dir), {
    instanceOf: HostLockedError,
  });
  t.is(
    error.message,
    `Cannot start isthmus-route-agent: isthmus-gateway, process ${process.pid} changes this host's network already. Stop it first: two of them would undo each other's work`,
  );
  await first[Symbol.asyncDispose]();
  await (await lockHost(dir, 'isthmus-route-agent', dir))[Symbol.asyncDispose]();
});

test('lockHost() refuses whoever has another state directory and the same network', async (t) => {
  const [dir, other] = [await directory(t), await directory(t)];
  await using _ = await lockHost(dir, 'isthmus-gateway', dir);
  const error = await t.throwsAsync(lockHost(other, 'clusterctl leave', dir), {
    instanceOf: HostLockedError,
  });
  t.is(error.holder, `isthmus-gateway, process ${process.pid}`);
  await t.notThrowsAsync(async () => await (await lockHost(other, 'next', other))[Symbol.asyncDispose]());
});

test('lockHost() is free again when its holder was killed', async (t) => {
  const dir = await directory(t);
  const code = `import { lockHost } from ${JSON.stringify(join(import.meta.dirname, 'lock.ts'))};
    await lockHost(${JSON.stringify(dir)}, 'victim', ${JSON.stringify(dir)}); console.log('held'); setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: import.meta.dirname,
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  await t.throwsAsync(lockHost(dir, 'next', dir), { message: new RegExp(`victim, process ${child.pid} `) });
  child.kill('SIGKILL');
  await ended;
  await (await lockHost(dir, 'next', dir))[Symbol.asyncDispose]();
});

test('laneKeys() makes each key once, for its owner only', async (t) => {
  const dir = await directory(t);
  const { keys } = await laneKeys(dir, 2);
  const again = await laneKeys(dir, 3);
  t.deepEqual(
    keys.map(({ publicKey }) => publicKey),
    again.keys.slice(0, 2).map(({ publicKey }) => publicKey),
  );
  t.is(new Set(again.keys.map(({ publicKey }) => publicKey)).size, 3);
  t.is((await stat(join(dir, 'wireguard/lane-0.key'))).mode & 0o777, 0o600);
});

test('laneKeys() replaces a file that was cut off, says so, and does not repeat what it held', async (t) => {
  const dir = await directory(t);
  const { keys } = await laneKeys(dir, 1);
  const path = join(dir, 'wireguard/lane-0.key');
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.slice(0, 20));
  const after = await laneKeys(dir, 1);
  t.not(after.keys[0]?.publicKey, keys[0]?.publicKey);
  t.regex(after.replaced[0]?.message ?? '', /lane-0\.key: it holds no key; a new one is made$/);
  t.false(`${after.replaced[0]?.stack} ${String(after.replaced[0]?.cause)}`.includes(text.slice(0, 20)));
  t.deepEqual((await laneKeys(dir, 1)).replaced, []);
});

test('laneKeys() gives the keys that there are, and why there are no more', async (t) => {
  const dir = await directory(t);
  const { keys } = await laneKeys(dir, 1);
  await mkdir(join(dir, 'wireguard/lane-1.key'));
  const after = await laneKeys(dir, 3);
  t.deepEqual(
    after.keys.map(({ publicKey }) => publicKey),
    keys.map(({ publicKey }) => publicKey),
  );
  t.regex(after.failure?.message ?? '', /^Cannot read .*lane-1\.key: /);
});

test('Loop runs one pass for any number of calls while another runs, and slower after failures', async (t) => {
  const stop = new AbortController();
  let passes = 0;
  const failures: number[] = [];
  const loop = new Loop({
    signal: stop.signal,
    failed: () => void failures.push(performance.now()),
    pass: async () => {
      passes += 1;
      await delay(20);
      if (passes > 2) throw new Error('no');
      return {};
    },
  });
  const running = loop.run();
  await delay(5);
  for (let count = 0; count < 10; count += 1) loop.wake();
  await delay(100);
  t.is(passes, 2);
  loop.wake();
  await delay(150);
  for (let count = 0; count < 10; count += 1) loop.wake();
  await delay(800);
  stop.abort();
  await running;
  t.true(failures.length >= 2 && failures.length <= 3, `${failures.length}`);
});

test('Loop ends with a pass that is the last', async (t) => {
  const loop = new Loop({
    signal: new AbortController().signal,
    failed: () => t.fail(),
    pass: () => Promise.resolve({ done: true }),
  });
  await t.notThrowsAsync(loop.run());
});

const LINES = [
  ['2: eth0: <BROADCAST,UP> mtu 1500 state UP group default \\    link/ether 66', 'facts'],
  ['2: eth0    inet 10.9.0.1/24 scope global eth0\\       valid_lft forever', 'facts'],
  ['7: eth0@if9: <BROADCAST,UP> mtu 1500 state UP group default', 'facts'],
  ['2: ist00: <POINTOPOINT,UP> mtu 1420 state UNKNOWN group 73', 'ours'],
  ['2: ist00: <POINTOPOINT> mtu 1420 qdisc noqueue state DOWN group 73', 'damage'],
  ['Deleted 2: ist00: <POINTOPOINT,UP> mtu 1420 state DOWN group 73', 'damage'],
  ['id 7400001 dev ist00 scope host proto 73 ', 'ours'],
  ['Deleted id 7400001 dev ist00 scope host proto 73 ', { nexthop: 7_400_001 }],
  ['Deleted id 12 via 10.0.0.1 dev eth0 scope link ', undefined],
  ['10.77.0.0/16 nhid 7401001 dev ist00 table 7301 proto 73 ', 'ours'],
  ['Deleted 10.77.0.0/16 nhid 7401001 dev ist00 table 7301 proto 73 ', { nexthop: 7_401_001 }],
  ['Deleted unreachable 10.66.0.0/16 table 7301 proto 73 metric 4294967295 ', 'damage'],
  ['Deleted 10.66.0.0/16 via 10.0.0.1 dev eth0 proto bird metric 32 ', undefined],
  ['301:\tfrom all fwmark 0/0x300000 lookup 7301', 'ours'],
  ['Deleted 305:\tfrom all fwmark 0x200000/0x300000 unreachable', 'damage'],
  ['Deleted 100:\tfrom all lookup 200', undefined],
  ['Deleted fe80::/64 dev eth0 proto kernel metric 256 pref medium', undefined],
  ['', undefined],
] as const;

for (const [line, what] of LINES) {
  test(`kernelChange() takes "${line.slice(0, 60)}" for ${JSON.stringify(what) ?? 'nothing to us'}`, (t) => {
    t.deepEqual(kernelChange(line), what);
  });
}

test('kernelWatches() end with a reason where they cannot watch, so that they are started again', async (t) => {
  const path = process.env['PATH'];
  process.env['PATH'] = '/nowhere';
  t.teardown(() => {
    process.env['PATH'] = path;
  });
  const { signal } = new AbortController();
  for (const watch of kernelWatches({ signal, changed: () => {} }))
    await t.throwsAsync(watch(), { message: /^Cannot watch the kernel by "(?:ip|nft) .*": it ended/ });
});

test('Pace gives a few turns at once, then one a second, and one turn for all that ask until it comes', (t) => {
  const pace = new Pace();
  const turns: number[] = [];
  for (let now = 0; now < 20_000; now += 10) {
    const turn = now + pace.wait(now, 50);
    if (turns.at(-1) !== turn) turns.push(turn);
  }
  t.deepEqual(turns.slice(0, 3), [50, 100, 150]);
  t.true(turns.length >= 20 && turns.length <= 26, `${turns.length}`);
  t.deepEqual(pace.wait(60_000, 20), 20);
});

test('Conditions logs what comes and goes, once', (t) => {
  const lines: string[] = [];
  const conditions = new Conditions(
    openLog({ component: 'test', destination: { write: (line) => void lines.push(line) } }),
  );
  const down = condition('IST_NO_PATH', 'west', { cluster: 'west' });
  conditions.set('a', [down]);
  conditions.set('a', [down]);
  conditions.set('b', []);
  t.deepEqual(conditions.all(), [down]);
  conditions.set('a', []);
  t.is(lines.length, 2);
  t.regex(lines[0] ?? '', /"level":"error".*"condition":"IST_NO_PATH","about":"west"/);
  t.regex(lines[1] ?? '', /No longer: Cluster has no path/);
});

test('exposeConditions() counts what holds by code and severity', async (t) => {
  const metrics = openMetrics({ component: 'test', version: '0' });
  const conditions = new Conditions(openLog({ component: 'test', destination: { write: () => {} } }));
  exposeConditions(conditions, metrics);
  const told = async (): Promise<string[]> =>
    (await metrics.metrics()).match(/^isthmus_condition\{.*/gm) ?? [];
  t.deepEqual(await told(), []);
  const without = (cluster: string): Condition => condition('IST_NO_PATH', cluster, { cluster });
  conditions.set('paths', [without('west'), without('edge')]);
  conditions.set('drains', [condition('IST_DRAINED', 'gateway gw-1', { kind: 'gateway', name: 'gw-1' })]);
  t.deepEqual((await told()).toSorted(), [
    'isthmus_condition{code="IST_DRAINED",severity="info"} 1',
    'isthmus_condition{code="IST_NO_PATH",severity="error"} 2',
  ]);
  conditions.set('paths', [without('edge')]);
  t.true((await told()).some((line) => line.endsWith('"IST_NO_PATH",severity="error"} 1')));
});

const PROGRAM = { name: 'isthmus-test', version: '1', purpose: 'tests', statusPort: 7, credentials: false };

test('parseFlags() has a default for everything', (t) => {
  const asked = parseFlags(PROGRAM, ['--node', 'n']);
  t.deepEqual('flags' in asked && asked.flags, {
    site: '/etc/isthmus',
    secrets: '/var/lib/isthmus/secrets',
    state: '/var/lib/isthmus/state',
    node: 'n',
    statusPort: 7,
    logLevel: 'info',
  });
});

test('parseFlags() refuses what it does not know, and says where to look', (t) => {
  for (const args of [
    ['--sites', 'x'],
    ['x'],
    ['--status-port', '70000'],
    ['--log-level', 'loud'],
    ['--secrets', '/x'],
  ]) {
    t.throws(
      () => parseFlags(PROGRAM, args),
      { instanceOf: UsageError, message: /See: isthmus-test --help$/ },
      args.join(' '),
    );
  }
});

/** `ip` and `sysctl` of a host with one link, a default route, and a device of ours. */
const facts: Run = ({ argv }) => {
  const text = argv.join(' ');
  if (text.startsWith('sysctl')) return Promise.resolve('0\n');
  if (text.includes('route')) {
    return Promise.resolve(
      text.includes('-6') ? '[]' : '[{"dst":"default","dev":"eth1","protocol":"static"}]',
    );
  }
  return Promise.resolve(
    JSON.stringify([
      { ifname: 'eth0', mtu: 9000, addr_info: [{ local: '192.168.1.10' }, { local: 'fd00:0::10' }] },
      { ifname: 'eth1', mtu: 1500, addr_info: [{ local: '203.0.113.10' }] },
      { ifname: 'ist-node', mtu: 1500, addr_info: [{ local: '10.1.10.1' }] },
    ]),
  );
};

test('readFacts() finds the link of the node, the smallest MTU on the way out, and no address of ours', async (t) => {
  const node = {
    name: 'gw-0',
    role: 'gateway',
    addresses: [parseAddress('192.168.1.10')],
    podCidrs: [],
  } as const;
  const { uplink, addresses, families } = await readFacts(facts, node);
  t.deepEqual(uplink, { device: 'eth0', mtu: 1500, advertised: false });
  t.deepEqual(families, [4, 6]);
  t.deepEqual(addresses.map(String), ['192.168.1.10', 'fd00::10', '203.0.113.10']);
});

test('readFacts() says which addresses it looked for', async (t) => {
  const node = {
    name: 'gw-0',
    role: 'gateway',
    addresses: [parseAddress('192.168.1.99')],
    podCidrs: [],
  } as const;
  await t.throwsAsync(readFacts(facts, node), {
    message: /^Cannot act as node "gw-0": this host has none of its addresses 192\.168\.1\.99\./,
  });
});

const GATEWAY = {
  name: 'gw-0',
  role: 'gateway',
  addresses: [parseAddress('192.168.1.10')],
  podCidrs: [],
} as const;

test('readFacts() does not take a sysctl that failed for a kernel without IPv6', async (t) => {
  const failing: Run = (command) =>
    command.argv[0] === 'sysctl' ? Promise.reject(new Error('no end after 30000 ms')) : facts(command);
  await t.throwsAsync(readFacts(failing, GATEWAY), { message: 'no end after 30000 ms' });
  const without: Run = (command) => (command.argv[0] === 'sysctl' ? Promise.resolve('') : facts(command));
  t.deepEqual((await readFacts(without, GATEWAY)).families, [4]);
});

test('FactsReader reads again what changed while it read, what is old, and for other addresses', async (t) => {
  let reads = 0;
  let now = 0;
  let during: (() => void) | undefined;
  const counting: Run = (command) => {
    if (command.argv.includes('address')) {
      reads += 1;
      during?.();
    }
    return facts(command);
  };
  const reader = new FactsReader(counting, () => now);
  during = () => reader.forget();
  await reader.read(GATEWAY);
  during = undefined;
  await reader.read(GATEWAY);
  await reader.read(GATEWAY);
  t.is(reads, 2);
  await reader.read({ ...GATEWAY, addresses: [parseAddress('203.0.113.10')] });
  t.is(reads, 3);
  now = 30_000;
  await reader.read({ ...GATEWAY, addresses: [parseAddress('203.0.113.10')] });
  t.is(reads, 4);
});
