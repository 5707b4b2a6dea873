import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import test from 'ava';
import { isCidr4, isCidr6, parseAddress, parseCidr } from '#lib/ip';
import { CommandError } from '#lib/linux';
import type { Run } from '#lib/linux';
import { parseClusterId } from '#lib/names';
import { parsePublicKey } from '#lib/wireguard';
import type { Device } from '#lib/wireguard';
import { healthText, plan } from '#topology';
import type { Fleet, Host, TunnelId } from '#topology';
import { hear, serveState } from './bed.ts';
import { serversOf } from './drill-checks.ts';
import { PACE_MS, figuresOf, parsePing } from './drill-flows.ts';
import type { Flow } from './drill-flows.ts';
import { renderReport, reportOf } from './drill-report.ts';
import type { DrillReport, Observed, PathSaid } from './drill-report.ts';
import { drillTable } from './drill-rules.ts';
import { clustersOf, cutOf, onlyWay, targetOf } from './drill-target.ts';
import type { Drill, Ground } from './drill-target.ts';
import { EXIT } from './exit.ts';
import { runCli } from './run.ts';

// ── What is cut ──────────────────────────────────────────────────────────────────────────────────────────────────

function remote(id: string, index: number, at: string, gateways: number): Fleet['remotes'][number] {
  return {
    id: parseClusterId(id),
    index,
    podCidrs: [parseCidr(`10.${index}.0.0/16`)],
    serviceCidrs: [],
    gateways: Array.from({ length: gateways }, (_, ordinal) => ({
      ordinal,
      keys: [keyOf(index, ordinal)],
      endpoint: {
        addresses: [`${at}${ordinal}`, `2001:db8:${index}::${ordinal}`].map(parseAddress),
        port: 51820,
      },
    })),
  };
}

function keyOf(index: number, ordinal: number): ReturnType<typeof parsePublicKey> {
  return parsePublicKey(Buffer.alloc(32, index * 8 + ordinal).toString('base64'));
}

function fleet(): Fleet {
  const [v4, v6] = [parseCidr('100.64.0.0/10'), parseCidr('fdfa:bfab:1::/48')];
  if (!isCidr4(v4) || !isCidr6(v6)) throw new TypeError('not one of each family');
  const node = (name: string, address: string, ordinal?: number): Fleet['own']['nodes'][number] => ({
    name,
    role: ordinal === undefined ? 'worker' : 'gateway',
    ...(ordinal !== undefined && { ordinal }),
    addresses: [parseAddress(address)],
    podCidrs: [],
  });
  return {
    fabric: { v4, v6 },
    own: {
      id: parseClusterId('east'),
      index: 1,
      podCidrs: [parseCidr('10.1.0.0/16')],
      serviceCidrs: [],
      lanes: 1,
      listenPort: 51820,
      link: 'vxlan',
      nodes: [node('gw-0', '192.0.2.10', 0), node('gw-1', '192.0.2.11', 1), node('worker-1', '2001:db8::1')],
    },
    remotes: [remote('north', 3, '198.51.100.', 1), remote('west', 2, '203.0.113.', 2)],
  };
}

function ground(healthy: readonly TunnelId[], siblings: readonly number[] = []): Ground {
  const host: Host = {
    node: 'gw-0',
    uplink: { device: 'eth0', mtu: 1500 },
    resilient: true,
    addresses: [],
    healthy: new Set(healthy),
  };
  return { fleet: fleet(), host, relief: new Set(siblings), plan: plan(fleet(), host) };
}

const ALL = ['north/0#0', 'west/0#0', 'west/1#0'] as const;

test('targetOf() finds what is meant on this host, and says what there is not', (t) => {
  const now = ground(ALL);
  const ids = (kind: Drill, name?: string): string[] => targetOf(kind, name, now).tunnels.map(({ id }) => id);
  t.deepEqual(ids('gateway'), [...ALL]);
  t.deepEqual(ids('path', 'west/1#0'), ['west/1#0']);
  t.deepEqual(ids('cluster', 'west'), ['west/0#0', 'west/1#0']);
  t.deepEqual(ids('broker'), []);
  t.deepEqual([...clustersOf(targetOf('gateway', 'gw-0', now))], ['north', 'west']);
  for (const [kind, name, reason] of [
    ['gateway', 'gw-1', /"gw-1": this host is "gw-0", .* Run this on gw-1$/],
    ['path', 'west/2#0', /"west\/2#0": it is no tunnel of this gateway, .* show tunnels$/],
    ['path', 'node gw-1', /links to own nodes cannot be drilled/],
    ['path', undefined, /^Cannot drill path: it is no tunnel/],
    ['cluster', 'south', /no such cluster/],
    ['broker', 'b', /it has no name/],
  ] as const)
    t.throws(() => targetOf(kind, name, now), { message: reason });
});

test('onlyWay() names the clusters that nothing else leads to', (t) => {
  const cut = (kind: Drill, name: string | undefined, now: Ground): string[] =>
    onlyWay(targetOf(kind, name, now), now);
  t.deepEqual(cut('gateway', undefined, ground(ALL)), ['north', 'west']);
  t.deepEqual(cut('gateway', undefined, ground(ALL, [2])), ['north']);
  t.deepEqual(cut('gateway', undefined, ground(ALL, [2, 3])), []);
  t.deepEqual(cut('path', 'west/1#0', ground(ALL)), [], 'its other tunnel');
  t.deepEqual(cut('path', 'west/1#0', ground(['west/1#0'])), ['west']);
  t.deepEqual(cut('path', 'west/1#0', ground(['west/1#0'], [2])), [], 'its sibling');
  t.deepEqual(cut('cluster', 'west', ground(ALL)), ['west']);
  t.deepEqual(cut('cluster', 'west', ground(ALL, [2])), []);
  t.deepEqual(cut('cluster', 'west', ground(['north/0#0'])), [], 'what nobody reaches is not cut');
});

test('cutOf() takes a tunnel by every address of its far end, and that which it was last heard from', (t) => {
  const now = ground(ALL);
  const heard = { address: parseAddress('203.0.113.77'), port: 4000 };
  const peer = { publicKey: keyOf(2, 1), hasPresharedKey: false, endpoint: heard, allowedIps: [] };
  const figures = { latestHandshake: 0, received: 0, sent: 0, keepalive: 0 };
  const devices: Device[] = [
    { name: 'ist10', listenPort: 51821, fwmark: 0, peers: [{ ...peer, ...figures }] },
  ];
  const { tunnels = [] } = cutOf(targetOf('path', 'west/1#0', now), now, devices);
  t.deepEqual(
    [...new Set(tunnels.map(({ port, peer: end }) => `${port} ${end.address} ${end.port}`))],
    ['51821 203.0.113.1 51820', '51821 203.0.113.77 4000', '51821 2001:db8:2::1 51820'],
  );
});

test('cutOf() takes of a gateway all that other hosts exchange with it', (t) => {
  const now = ground(ALL);
  const cut = cutOf(targetOf('gateway', undefined, now), now, []);
  t.deepEqual(cut, { ports: [51820, 51821], nodes: ['192.0.2.11', '2001:db8::1'].map(parseAddress) });
});

test('drillTable() drops both ways, and gives every element the time after which the kernel forgets it', (t) => {
  const end = (address: string, port: number) => ({ address: parseAddress(address), port });
  t.is(
    drillTable(
      { tunnels: ['203.0.113.1', '203.0.113.1'].map((text) => ({ port: 51821, peer: end(text, 51820) })) },
      30,
    ),
    `create table inet isthmus-drill
table inet isthmus-drill {
  set tunnels4 { type inet_service . ipv4_addr . inet_service; flags timeout; elements = { 51821 . 203.0.113.1 . 51820 timeout 30s }; }
  chain input {
    type filter hook input priority raw;
    udp dport . ip saddr . udp sport @tunnels4 drop
  }
  chain output {
    type filter hook output priority raw;
    udp sport . ip daddr . udp dport @tunnels4 drop
  }
}
`,
  );
  const gateway = drillTable(
    { ports: [51820, 51821], nodes: ['192.0.2.11', '2001:db8::1'].map(parseAddress) },
    60,
  );
  for (const line of [
    'set ports { type inet_service; flags timeout; elements = { 51820 timeout 60s, 51821 timeout 60s }; }',
    'udp dport @ports drop',
    'udp sport @ports drop',
    'ip saddr @nodes4 udp dport { 51800, 51801, 8473 } drop',
    'ip6 daddr @nodes6 udp sport { 51800, 51801, 8473 } drop',
  ])
    t.true(gateway.includes(`${line}\n`), line);
  const broker = drillTable({ servers: [end('192.0.2.1', 4222), end('2001:db8::2', 4222)] }, 5);
  for (const line of ['ip saddr . tcp sport @servers4 drop', 'ip6 daddr . tcp dport @servers6 drop'])
    t.true(broker.includes(`${line}\n`), line);
});

// ── What is refused ──────────────────────────────────────────────────────────────────────────────────────────────

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly said: string;
}

interface Attempt {
  readonly run?: Run;
  readonly signal?: AbortSignal;
}

/** Runs the command against a daemon that says this. */
async function drilled(
  said: object,
  words: readonly string[],
  { run, signal = new AbortController().signal }: Attempt = {},
): Promise<Ended> {
  const { context, out, said: lines } = hear({ ...(run && { run }), signal });
  const state = (): object => {
    if (signal.aborted) throw new Error('the daemon is away');
    return said;
  };
  await using server = await serveState(state);
  const code = await runCli(context, ['drill', ...words, '--status-port', String(server.port)]);
  return { code, out: out.join(''), said: lines.join('\n') };
}

function stateOf({ host, fleet: known, relief }: Ground, more: object = {}): object {
  return { fleet: known, host: { ...host, ...healthText(host) }, relief: [...relief], ...more };
}

test('clusterctl drill refuses what would be an outage, or show nothing, before it does anything', async (t) => {
  const to = ['--to', '10.2.1.2'];
  const alone = stateOf(ground(ALL));
  const whole = stateOf(ground(ALL, [2, 3]));
  const cases = [
    [alone, ['gateway', ...to], EXIT.refused, /^Cannot drill gateway "gw-0": north, west would be cut off/],
    [alone, ['cluster', 'west', ...to], EXIT.refused, /^Cannot drill cluster "west": west would be cut off/],
    [stateOf(ground([], [2])), ['path', 'west/0#0', ...to], EXIT.refused, /: no packet takes it now/],
    [whole, ['broker'], EXIT.refused, /^Cannot drill the broker: this host has no connection to it/],
    [
      stateOf(ground(ALL), { broker: { connected: true, complete: false } }),
      ['broker'],
      EXIT.refused,
      /: this host has not read all that it needs without it/,
    ],
    [
      whole,
      ['cluster', 'west'],
      EXIT.usage,
      /: nothing would be measured\. Give addresses of west that answer ping: --to$/,
    ],
    [whole, ['cluster', 'west', '--to', '10.3.1.2'], EXIT.usage, /: 10\.3\.1\.2 is in no pod CIDR of west$/],
    [whole, ['cluster', 'south', ...to], EXIT.usage, /: there is no such cluster/],
    [whole, ['gateway', ...to, '--for', '3s'], EXIT.usage, /--for "3s": it is shorter than 5s/],
    [whole, ['gateway', ...to, '--for', '11m'], EXIT.usage, /--for "11m": it is longer than 10m/],
    [
      stateOf({ ...ground(ALL), host: { ...ground(ALL).host, node: 'worker-1' } }),
      ['gateway'],
      EXIT.unreachable,
      /no gateway daemon/,
    ],
  ] as const;
  for (const [state, words, code, text] of cases) {
    const ended = await drilled(state, words);
    t.is(ended.code, code, ended.said);
    t.regex(ended.said, text);
  }
});

test('serversOf() leaves out names that nobody knows, and fails where there is no other', async (t) => {
  const resolve = (name: string): Promise<{ address: string }[]> =>
    name === 'gone.example'
      ? Promise.reject(new Error('getaddrinfo ENOTFOUND gone.example'))
      : Promise.resolve([{ address: '192.0.2.1' }]);
  const [gone, known] = ['tls://gone.example:4222', 'tls://broker.example:4222'] as const;
  t.deepEqual(await serversOf([gone, known], resolve), [{ address: parseAddress('192.0.2.1'), port: 4222 }]);
  await t.throwsAsync(serversOf([gone], resolve), {
    message:
      /^Cannot drill the broker: no address of it is known now \(getaddrinfo ENOTFOUND .*\)\. .* hosts gone\.example$/,
  });
});

// ── What is done ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Answers once, and goes on until it is ended. */
const PING = `#!/bin/sh
echo "[$(date +%s.%N)] 520 bytes from 10.2.1.2: icmp_seq=1 ttl=62 time=0.6 ms"
exec sleep 60
`;

test.before(async (t) => {
  const programs = await mkdtemp(path.join(tmpdir(), 'drill-'));
  await writeFile(path.join(programs, 'ping'), PING, { mode: 0o755 });
  process.env['PATH'] = `${programs}:${process.env['PATH'] ?? ''}`;
  t.context = programs;
});
test.after.always(async (t) => {
  if (typeof t.context === 'string') await rm(t.context, { recursive: true });
});

/** A kernel of which nothing is known but its tables of nftables: what nft is told is written down. */
class Tables {
  readonly told: string[] = [];
  /** What is called after the failure is in force. */
  readonly #made: () => void;
  /** By first words: what nft says instead of doing it. */
  readonly #refusals: Readonly<Record<string, string>>;

  constructor(made: () => void, refusals: Readonly<Record<string, string>> = {}) {
    this.#made = made;
    this.#refusals = refusals;
  }

  readonly run: Run = (command) => {
    const [program, ...words] = command.argv;
    if (program !== 'nft') return Promise.resolve('');
    const action = words[0] === '-j' ? 'list' : (words[0] ?? '');
    this.told.push(action);
    const stderr = this.#refusals[action];
    if (stderr !== undefined)
      return Promise.reject(new CommandError(command, stderr, { exitCode: 1, stderr }));
    if (action === '-f') this.#made();
    return Promise.resolve(action === 'list' ? LEFTOVER : '');
  };
}

const NO_TABLE = 'Error: No such file or directory';
const LEFTOVER = JSON.stringify({
  nftables: [
    { table: { family: 'inet', name: 'isthmus-drill', handle: 1 } },
    { set: { family: 'inet', name: 'ports', table: 'isthmus-drill', type: 'inet_service', handle: 2 } },
  ],
});
const PATH_DRILL = ['path', 'west/1#0', '--to', '10.2.1.2', '--for', '5s', '-o', 'json'] as const;

test('clusterctl drill that is interrupted reports, also when the daemon is away by then', async (t) => {
  const stop = new AbortController();
  const tables = new Tables(() => stop.abort());
  const ended = await drilled(stateOf(ground(ALL)), PATH_DRILL, { run: tables.run, signal: stop.signal });
  t.like(JSON.parse(ended.out), { verdict: 'interrupted', target: 'west/1#0' });
  t.is(ended.code, EXIT.interrupted);
  t.regex(ended.said, /^Interrupted: the drill of path "west\/1#0" has ended$/m);
  t.deepEqual(tables.told, ['list', 'delete', '-f', 'delete'], 'what another left goes long before');
});

test('clusterctl drill says until when the failure lasts where it cannot be ended, interrupted or not', async (t) => {
  const stop = new AbortController();
  const refusals = { list: NO_TABLE, delete: 'Error: Device or resource busy\ndelete table\n^^^^^^' };
  const { run } = new Tables(() => stop.abort(), refusals);
  const ended = await drilled(stateOf(ground(ALL)), PATH_DRILL, { run, signal: stop.signal });
  t.is(ended.code, EXIT.failed);
  t.regex(
    ended.said,
    /^Cannot end the drill of path "west\/1#0": Error: Device or resource busy\. It ends by itself at \d{4}-.*Z; now: nft delete table inet isthmus-drill$/m,
  );
});

test('clusterctl drill that is interrupted before the failure makes none, and says no more than that', async (t) => {
  const stop = new AbortController();
  const tables = new Tables(() => {}, { list: NO_TABLE });
  setTimeout(() => stop.abort(), 1000);
  const waiting = await drilled(stateOf(ground(ALL)), PATH_DRILL, { run: tables.run, signal: stop.signal });
  t.deepEqual(tables.told, ['list']);
  const cut = new AbortController();
  const run: Run = (command) => {
    cut.abort();
    const cause: unknown = cut.signal.reason;
    return Promise.reject(new CommandError(command, 'aborted', { exitCode: null, stderr: '', cause }));
  };
  const running = await drilled(stateOf(ground(ALL)), PATH_DRILL, { run, signal: cut.signal });
  for (const { code, out, said } of [waiting, running]) {
    t.deepEqual([code, out], [EXIT.interrupted, '']);
    t.regex(said, /^Interrupted\. What was done until then stays done$/m);
  }
});

test('clusterctl drill that is interrupted after the failure says so', async (t) => {
  const stop = new AbortController();
  const { run } = new Tables(() => setTimeout(() => stop.abort(), 6000), { list: NO_TABLE });
  const ended = await drilled(stateOf(ground(ALL)), PATH_DRILL, { run, signal: stop.signal });
  t.like(JSON.parse(ended.out), { verdict: 'interrupted', seconds: 5 });
  t.is(ended.code, EXIT.interrupted);
});

test('clusterctl drill is refused where another one was quicker', async (t) => {
  const { run } = new Tables(() => {}, {
    list: NO_TABLE,
    '-f': 'Error: Could not process rule: File exists',
  });
  const ended = await drilled(stateOf(ground(ALL)), PATH_DRILL, { run });
  t.is(ended.code, EXIT.refused);
  t.regex(ended.said, /^Cannot drill on this host: a drill goes on here/m);
});

// ── What is measured ─────────────────────────────────────────────────────────────────────────────────────────────

test('parsePing() reads when each request was answered, and how many there were', (t) => {
  const flow = parsePing(`PING 10.2.1.2 (10.2.1.2) 56(84) bytes of data.
[1790000000.500000] 64 bytes from 10.2.1.2: icmp_seq=1 ttl=62 time=0.6 ms
[1790000000.540000] 64 bytes from 10.2.1.2: icmp_seq=3 ttl=62 time=0.6 ms
[1790000000.541000] 64 bytes from 10.2.1.2: icmp_seq=2 ttl=62 time=20.6 ms
[1790000000.542000] 64 bytes from 10.2.1.2: icmp_seq=2 ttl=62 time=21.6 ms (DUP!)
[1790000000.560000] From 10.1.1.1 icmp_seq=4 Destination Host Unreachable

--- 10.2.1.2 ping statistics ---
5 packets transmitted, 3 received, +1 duplicates, 40% packet loss, time 80ms
`);
  t.is(flow.sent, 5);
  t.deepEqual(
    flow.replies.map(({ sequence, at }) => [sequence, Math.round(at - 1_790_000_000_000)]),
    [
      [1, 500],
      [2, 541],
      [3, 540],
    ],
  );
  t.deepEqual(parsePing(''), { sent: 0, replies: [] });
});

const TIMES = { begun: 0, failed: 3000, restored: 8000, ended: 13_000 };

/** Answers at a steady pace, but for requests sent in these spans of milliseconds. */
function flow(...silences: readonly (readonly [from: number, to: number])[]): Flow {
  const all = Array.from({ length: TIMES.ended / PACE_MS }, (_, at) => ({
    sequence: at + 1,
    at: at * PACE_MS + 1,
  }));
  const isSilent = (at: number): boolean => silences.some(([from, to]) => at >= from && at < to);
  return { sent: all.length, replies: all.filter(({ at }) => !isSilent(at)) };
}

test('figuresOf() counts each silence where it began', (t) => {
  const none = { before: 0, during: 0, after: 0 };
  const sent = { before: 150, during: 250, after: 250 };
  t.like(figuresOf(flow(), TIMES), { sent, lost: none, recovered: true, backMs: 1 });
  t.like(figuresOf(flow([1000, 1100], [3000, 3400], [9000, 9060]), TIMES), {
    sent,
    lost: { before: 5, during: 20, after: 3 },
    silenceMs: { before: 120, during: 420, after: 80 },
    recovered: true,
  });
  const whole = figuresOf(flow([3000, 8600]), TIMES);
  t.like(whole, { lost: { ...none, during: 280 }, recovered: false, backMs: 601 });
  const gone = figuresOf(flow([3000, 20_000]), TIMES);
  t.like(gone, { lost: { ...none, during: 500 }, recovered: false });
  t.is(gone.backMs, undefined);
  t.like(figuresOf(flow([12_500, 20_000]), TIMES), { lost: none }, 'what is on its way may arrive yet');
  t.like(figuresOf({ sent: 0, replies: [] }, TIMES), { recovered: false });
  t.like(figuresOf(flow([3000, 3400], [9000, 20_000]), TIMES), { recovered: true, fellSilent: true });
  t.false(figuresOf(flow([9000, 12_000]), TIMES).fellSilent, 'it is back');
  t.false(figuresOf(flow([1000, 1600], [12_500, 20_000]), TIMES).fellSilent, 'so it was before');
});

// ── What is reported ─────────────────────────────────────────────────────────────────────────────────────────────

/** What a daemon tells of a tunnel; each change is its moment, what it came to, and why. */
function said(
  id: string,
  state: string,
  ...changes: readonly (readonly [at: number, to: string, text: string])[]
): PathSaid {
  return {
    id,
    state,
    changes: changes.map(([at, to, text]) => ({ at: new Date(at).toISOString(), to, text })),
  };
}

const FIRST = [-9000, 'up', 'the first probe is answered'] as const;
const DOWN = [3350, 'down', '4 of 4 probes unanswered'] as const;
const BACK = [9000, 'up', 'no loss for 1.0 s'] as const;

function reported(more: Partial<Observed>): DrillReport {
  return reportOf(observed(more));
}

function observed(more: Partial<Observed>): Observed {
  return {
    kind: 'path',
    target: 'west/1#0',
    node: 'gw-0',
    cluster: 'east',
    times: TIMES,
    interrupted: false,
    flows: [
      { to: '10.2.1.2', ...flow([3000, 3400]) },
      { to: '10.2.1.3', ...flow() },
    ],
    paths: [said('west/1#0', 'up', FIRST, DOWN, BACK)],
    taken: ['west/1#0'],
    ...more,
  };
}

test('reportOf() judges by what was lost, and by whether anything failed at all', (t) => {
  t.like(reported({}), {
    verdict: 'recovered',
    summary: 'recovered in 420 ms; 20 of 500 echoes lost',
    recoveryMs: 420,
    seconds: 5,
  });
  const quiet = [{ to: '10.2.1.2', ...flow() }];
  t.is(reported({ flows: quiet }).verdict, 'unnoticed');
  t.is(reported({ flows: [{ to: '10.2.1.2', ...flow([3000, 9000]) }] }).verdict, 'failed');
  t.like(reported({ flows: [{ to: '10.2.1.2', ...flow([3000, 3400], [9000, 20_000]) }] }), {
    verdict: 'failed',
    summary: '1 of 1 flows fell silent when the failure ended, and stayed so',
  });
  const standing = reported({ paths: [said('west/1#0', 'up', FIRST)] });
  t.is(standing.verdict, 'failed');
  t.regex(standing.summary, /^west\/1#0 never went down/);
  t.is(reported({ interrupted: true, paths: [] }).verdict, 'interrupted');
});

test('reportOf() takes a daemon that was late, away or started again for no proof that nothing failed', (t) => {
  for (const state of ['down', 'held', 'unknown'])
    t.is(reported({ paths: [said('west/1#0', state, FIRST)] }).verdict, 'recovered', state);
  const anew = said('west/1#0', 'up', [8500, 'up', 'the first probe is answered']);
  for (const paths of [[anew], []])
    t.like(reported({ paths }), {
      verdict: 'unknown',
      summary: 'the daemon was started again, so nobody can say whether west/1#0 went down',
      lost: 20,
    });
  const { paths: _, ...away } = observed({});
  t.like(reportOf(away), {
    verdict: 'unknown',
    summary: 'the daemon was away, so nobody can say whether west/1#0 went down',
  });
  const stalled = { ...away, flows: [{ to: '10.2.1.2', ...flow([3000, 9000]) }] };
  t.is(reportOf(stalled).verdict, 'failed', 'whoever can say what went down');
});

test('reportOf() says of a gateway only what can be seen from itself', (t) => {
  const cut = [{ to: '10.2.1.2', ...flow([3000, 8700]) }];
  const report = reported({ kind: 'gateway', target: 'gw-0', flows: cut });
  t.is(report.verdict, 'back');
  t.regex(report.summary, /back 701 ms after\. What its workers noticed was not measured here$/);
  t.is(report.recoveryMs, undefined);
  const gone = [{ to: '10.2.1.2', ...flow([3000, 20_000]) }];
  t.is(reported({ kind: 'gateway', flows: gone }).verdict, 'failed');
});

test('reportOf() accepts no path that falls and no flow that stalls while the broker is away', (t) => {
  const calm = [said('west/1#0', 'up', FIRST)];
  const broker = { kind: 'broker', target: 'broker', taken: [], flows: [], connected: false } as const;
  t.is(reported({ ...broker, paths: calm }).verdict, 'unnoticed');
  t.is(reported({ ...broker, paths: [] }).verdict, 'unnoticed', 'a clusterset of one');
  t.like(reported(broker), {
    verdict: 'failed',
    summary: 'west/1#0 went down while only the broker was away',
  });
  t.is(reported({ ...broker, paths: calm, connected: true }).verdict, 'failed');
  const settling = said('west/1#0', 'up', FIRST, [-500, 'held', ''], [3500, 'up', ''], [4000, '1420', '']);
  t.is(reported({ ...broker, paths: [settling] }).verdict, 'unnoticed', 'of an earlier failure');
  const losing = [{ to: '10.2.1.2', ...flow([1000, 1100], [3000, 3100]) }];
  t.like(reported({ ...broker, paths: calm, flows: losing }), {
    verdict: 'unnoticed',
    summary: 'the broker was away, and no path of this host went down; 5 of 250 echoes lost',
  });
  const stalling = [{ to: '10.2.1.2', ...flow([3000, 3400]) }];
  t.is(reported({ ...broker, paths: calm, flows: stalling }).verdict, 'failed');
  const { connected: _, ...unasked } = { ...broker, paths: calm };
  t.is(reported(unasked).verdict, 'unknown');
  t.is(reported({ ...broker, paths: [said('west/1#0', 'up', BACK)] }).verdict, 'unknown', 'started again');
});

test('renderReport() has a line a flow, one a change, and the verdict last', (t) => {
  t.deepEqual(renderReport(reported({})).split('\n'), [
    'path west/1#0 failed for 5 s from 1970-01-01T00:00:03.000Z, seen from east/gw-0',
    '',
    'TO         LOST-BEFORE   LOST-DURING   LOST-AFTER   SILENT-BEFORE   SILENT-DURING   SILENT-AFTER',
    '10.2.1.2   0/150         20/250        0/250        20 ms           420 ms          20 ms',
    '10.2.1.3   0/150         0/250         0/250        20 ms           20 ms           20 ms',
    '',
    'AFTER     PATH       TO     WHY',
    '350 ms    west/1#0   down   4 of 4 probes unanswered',
    '6000 ms   west/1#0   up     no loss for 1.0 s',
    '',
    'recovered: recovered in 420 ms; 20 of 500 echoes lost',
    '',
  ]);
});
