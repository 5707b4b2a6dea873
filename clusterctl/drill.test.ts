import test from 'ava';
import { isCidr4, isCidr6, parseAddress, parseCidr } from '#lib/ip';
import { openMetrics, serveStatus } from '#lib/metrics';
import { parseClusterId } from '#lib/names';
import { parsePublicKey } from '#lib/wireguard';
import type { Device } from '#lib/wireguard';
import { healthText, plan } from '#topology';
import type { Fleet, Host, TunnelId } from '#topology';
import type { Context } from './context.ts';
import { PACE_MS, figuresOf, parsePing } from './drill-flows.ts';
import type { Flow } from './drill-flows.ts';
import { renderReport, reportOf } from './drill-report.ts';
import type { DrillReport, Observed } from './drill-report.ts';
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
    ['path', 'west/2#0', /no such path/],
    ['path', undefined, /no such path/],
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

/** Runs the command against a daemon that says this; a drill that is refused touches nothing. */
async function refused(
  said: object,
  ...words: readonly string[]
): Promise<readonly [code: number, said: string]> {
  const lines: string[] = [];
  const context: Context = {
    terminal: {
      out: (text) => void lines.push(text),
      clear: () => {},
      say: (line) => void lines.push(line),
      paint: (_style, text) => text,
      isInteractive: false,
    },
    run: () => Promise.reject(new Error('a program was run')),
    signal: new AbortController().signal,
    now: () => new Date(),
  };
  const registry = openMetrics({ component: 'test', version: '1' });
  await using server = await serveStatus({ port: 0, registry, ready: () => undefined, state: () => said });
  const code = await runCli(context, ['drill', ...words, '--status-port', String(server.port)]);
  return [code, lines.join('\n')];
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
    [whole, ['broker'], EXIT.refused, /: this host has no connection to it/],
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
    [
      whole,
      ['cluster', 'west', '--to', '10.3.1.2'],
      EXIT.usage,
      /: 10\.3\.1\.2 is no pod's or node's address of west$/,
    ],
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
  for (const [said, words, code, text] of cases) {
    const ended = await refused(said, ...words);
    t.is(ended[0], code, ended[1]);
    t.regex(ended[1], text);
  }
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
  t.like(figuresOf(flow(), TIMES), { sent: 650, lost: none, recovered: true, backMs: 1 });
  t.like(figuresOf(flow([1000, 1100], [3000, 3400], [9000, 9060]), TIMES), {
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
});

// ── What is reported ─────────────────────────────────────────────────────────────────────────────────────────────

const DOWN = {
  at: new Date(3350).toISOString(),
  path: 'west/1#0',
  to: 'down',
  why: '4 of 4 probes unanswered',
};

function reported(more: Partial<Observed>): DrillReport {
  return reportOf({
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
    events: [DOWN],
    taken: ['west/1#0'],
    ...more,
  });
}

test('reportOf() judges by what was lost, and by whether anything failed at all', (t) => {
  t.like(reported({}), {
    verdict: 'recovered',
    summary: 'recovered in 420 ms; 20 of 1300 echoes lost',
    recoveryMs: 420,
    seconds: 5,
  });
  const quiet = [{ to: '10.2.1.2', ...flow() }];
  t.is(reported({ flows: quiet }).verdict, 'unnoticed');
  t.is(reported({ flows: [{ to: '10.2.1.2', ...flow([3000, 9000]) }] }).verdict, 'failed');
  const standing = reported({ events: [] });
  t.is(standing.verdict, 'failed');
  t.regex(standing.summary, /^west\/1#0 never went down/);
  t.is(reported({ interrupted: true, events: [] }).verdict, 'interrupted');
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

test('reportOf() accepts no change of any path while the broker is away', (t) => {
  const broker = { kind: 'broker', target: 'broker', taken: [], flows: [], connected: false } as const;
  t.is(reported({ ...broker, events: [] }).verdict, 'unnoticed');
  t.like(reported(broker), { verdict: 'failed', summary: 'west/1#0 changed while the broker was away' });
  t.is(reported({ ...broker, events: [], connected: true }).verdict, 'failed');
  const losing = [{ to: '10.2.1.2', ...flow([3000, 3100]) }];
  t.is(reported({ ...broker, events: [], flows: losing }).verdict, 'failed');
});

test('renderReport() has a line a flow, one a change, and the verdict last', (t) => {
  t.deepEqual(renderReport(reported({})).split('\n'), [
    'path west/1#0 failed for 5 s from 1970-01-01T00:00:03.000Z, seen from east/gw-0',
    '',
    'TO         SENT   LOST-BEFORE   LOST-DURING   LOST-AFTER   SILENT-BEFORE   SILENT-DURING   SILENT-AFTER',
    '10.2.1.2   650    0             20            0            20 ms           420 ms          20 ms',
    '10.2.1.3   650    0             0             0            20 ms           20 ms           20 ms',
    '',
    'AFTER    PATH       TO     WHY',
    '350 ms   west/1#0   down   4 of 4 probes unanswered',
    '',
    'recovered: recovered in 420 ms; 20 of 1300 echoes lost',
    '',
  ]);
});
