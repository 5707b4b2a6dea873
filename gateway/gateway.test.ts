// The gateway's pure parts, its files, and the daemon's own parts on a kernel that takes everything.

import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { BrokerStatus, ClustersetView, Member, MemberView } from '#broker';
import { Conditions, wishLaneKeys } from '#host';
import { Detector } from '#lib/health';
import { parseAddress, parseCidr, isCidr4, isCidr6 } from '#lib/ip';
import type { Run } from '#lib/linux';
import { openLog } from '#lib/log';
import { openMetrics } from '#lib/metrics';
import type { Cidr4, Cidr6 } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import { PrivateKey, parsePublicKey } from '#lib/wireguard';
import { NO_DRAINS, SiteReader, parseSite, readSite } from '#site';
import { clusterGroup, tunnelNexthop } from '#topology';
import type { DevicePlan, LinkPlan, RemoteCluster, TunnelId, TunnelPlan } from '#topology';
import { provenTunnels } from './adopt.ts';
import { reportBlocked } from './blocked.ts';
import { fleetMapper, withGuards } from './fleet.ts';
import { Gateway } from './gateway.ts';
import { gatewayNode, inputsReader } from './inputs.ts';
import { Lanes } from './lanes.ts';
import {
  drainConditions,
  familyConditions,
  ledBySiblings,
  pathConditions,
  standingConditions,
  stoppedConditions,
} from './paths.ts';
import { linkId } from './probed.ts';
import { Publisher } from './publish.ts';
import { resting } from './resting.ts';
import { Statement } from './statement.ts';
import type { StatementOptions } from './statement.ts';
import { relief } from './siblings.ts';
import { stateOf } from './state.ts';
import type { Standing } from './usable.ts';

const SITE = parseSite(
  `cluster: east
podCIDRs: [10.1.0.0/16]
nodes:
  - { name: gw-0, role: gateway, ordinal: 0, addresses: [192.168.1.10] }
  - { name: worker-1, role: worker, addresses: [192.168.1.11] }
`,
  'site.yaml',
);
const KEY = parsePublicKey(Buffer.alloc(32, 7).toString('base64'));

function cidr4(text: string): Cidr4 {
  const cidr = parseCidr(text);
  if (isCidr4(cidr)) return cidr;
  throw new TypeError(text);
}
function cidr6(text: string): Cidr6 {
  const cidr = parseCidr(text);
  if (isCidr6(cidr)) return cidr;
  throw new TypeError(text);
}

function member(name: string, index: number, gateways: MemberView['gateways'] = []): MemberView {
  const podCidrs = [parseCidr(`10.${index}.0.0/16`)];
  return { cluster: parseClusterId(name), index, podCidrs, serviceCidrs: [], gateways };
}

function view(members: readonly MemberView[], revoked: readonly MemberView[] = []): ClustersetView {
  const fabric = { v4: cidr4('100.64.0.0/10'), v6: cidr6('fdfa:bfab:1::/48') };
  return { clusterset: 'test', fabric, members, revoked };
}

/** The mapping, of a cluster that has not left. */
function reached(
  map: ReturnType<typeof fleetMapper>,
): (...args: Parameters<typeof map>) => Exclude<ReturnType<typeof map>, { membership: 'left' }> {
  return (...args) => {
    const mapped = map(...args);
    if (mapped.membership === 'left') throw new Error('it has left');
    return mapped;
  };
}

const EAST = member('east', 1);
const WEST = member('west', 2, [{ ordinal: 0, keys: [KEY] }]);
const EDGE = member('edge', 3, [{ ordinal: 0, keys: [KEY] }]);

test('fleetMapper() maps members but the own one, sorted, with the index that membership gave', (t) => {
  const mapped = reached(fleetMapper(SITE.id))(view([WEST, EAST, EDGE]), SITE);
  t.is(mapped.membership, 'member');
  t.is(mapped.fleet.own.index, 1);
  t.deepEqual(
    mapped.fleet.remotes.map(({ id }) => String(id)),
    ['edge', 'west'],
  );
});

test('fleetMapper() keeps the objects of unchanged members', (t) => {
  const map = reached(fleetMapper(SITE.id));
  const first = map(view([EAST, WEST, EDGE]), SITE);
  const second = map(view([EAST, WEST, { ...EDGE, gateways: [] }]), SITE);
  t.is(second.fleet.remotes[1], first.fleet.remotes[1]);
  t.not(second.fleet.remotes[0], first.fleet.remotes[0]);
});

test('fleetMapper() keeps a revoked member without gateways, so that its CIDRs stay unreachable', (t) => {
  const mapped = reached(fleetMapper(SITE.id))(view([EAST, WEST], [{ ...EDGE, gateways: [] }]), SITE);
  t.deepEqual(
    mapped.fleet.remotes.map(({ id, gateways }) => [String(id), gateways.length]),
    [
      ['edge', 0],
      ['west', 1],
    ],
  );
});

test('fleetMapper() keeps every CIDR and no gateway once the own cluster is revoked', (t) => {
  const mapped = reached(fleetMapper(SITE.id))(view([WEST, EDGE], [EAST]), SITE);
  t.is(mapped.membership, 'revoked');
  t.is(mapped.fleet.own.index, 1);
  t.deepEqual(
    mapped.fleet.remotes.map(({ gateways }) => gateways),
    [[], []],
  );
});

test('withGuards() adds what only the site directory names, without gateways, and changes nothing that is known', (t) => {
  const { fleet } = reached(fleetMapper(SITE.id))(view([EAST, WEST]), SITE);
  const named = [EAST, EDGE, WEST].map(({ cluster, ...rest }) => ({ id: cluster, ...rest, podCidrs: [] }));
  const { remotes } = withGuards(fleet, named);
  t.deepEqual(
    remotes.map(({ id, gateways }) => [String(id), gateways.length]),
    [
      ['edge', 0],
      ['west', 1],
    ],
  );
  t.is(remotes[1], fleet.remotes[0]);
});

test('fleetMapper() says that the own cluster has left when it is in neither list', (t) => {
  t.deepEqual(fleetMapper(SITE.id)(view([WEST]), SITE), { membership: 'left' });
});

test('fleetMapper() refuses a site whose CIDRs are not those of the certificate', (t) => {
  const other = { ...EAST, podCidrs: [parseCidr('10.9.0.0/16')] };
  t.throws(() => fleetMapper(SITE.id)(view([other]), SITE), {
    message:
      /^Cannot use site\.yaml: podCIDRs are 10\.1\.0\.0\/16, the membership of "east" is for 10\.9\.0\.0\/16\./,
  });
});

test('fleetMapper() takes another name in site.yaml for a slip, not for a departure', (t) => {
  const site = { ...SITE, id: parseClusterId('eest') };
  t.throws(() => fleetMapper(SITE.id)(view([EAST, WEST]), site), {
    message: /^Cannot use site\.yaml: it describes cluster "eest", and the membership here is of "east"\./,
  });
});

test('gatewayNode() tells a worker, and a name that is none, apart', (t) => {
  t.is(gatewayNode(SITE, 'gw-0').ordinal, 0);
  t.throws(() => gatewayNode(SITE, 'worker-1'), {
    message: /"worker-1" is a worker\. Run isthmus-route-agent here$/,
  });
  t.throws(() => gatewayNode(SITE, 'x'), { message: /no node "x", it has gw-0, worker-1\./ });
});

function remote(id: string, index: number, ordinals: readonly number[]): RemoteCluster {
  const gateways = ordinals.map((ordinal) => ({ ordinal, keys: [KEY, KEY] }));
  return { id: parseClusterId(id), index, podCidrs: [], serviceCidrs: [], gateways };
}

test('provenTunnels() gives the tunnels that stand in the groups of their clusters, in either family', (t) => {
  const fleet = {
    fabric: view([]).fabric,
    own: { ...SITE, index: 1 },
    remotes: [remote('west', 2, [0, 3]), remote('edge', 3, [0])],
  };
  const groups = [
    { id: clusterGroup(6, 2), members: [tunnelNexthop(6, 0), tunnelNexthop(6, 25)] },
    { id: clusterGroup(4, 2), members: [tunnelNexthop(4, 1, 1296)] },
    { id: clusterGroup(4, 9), members: [tunnelNexthop(4, 0)] },
  ];
  const all = ['west/0#0', 'west/0#1', 'west/3#1'] as const;
  t.deepEqual([...provenTunnels(fleet, { groups }).healthy], [...all], 'devices that say nothing');
  const peer = { publicKey: KEY, hasPresharedKey: false, latestHandshake: 0, received: 0, sent: 0 };
  const devices = [{ peers: [{ ...peer, allowedIps: [], keepalive: 0 }] }];
  t.deepEqual([...provenTunnels(fleet, { groups, devices }).healthy], [...all]);
  t.deepEqual([...provenTunnels(fleet, { groups, devices: [{ peers: [] }] }).healthy], [], 'other keys');
  t.deepEqual([...provenTunnels(fleet, { groups }).room], [['west/0#1', 1296]]);
});

const FINE: Standing = {
  deaf: false,
  narrow: false,
  impaired: false,
  draining: false,
  blocked: false,
  stopped: false,
};

function tunnel(id: TunnelId): TunnelPlan {
  const [local, remote] = [[parseAddress('fd00::1')], [parseAddress('fd00::2')]];
  return { id, device: 'ist00', peer: KEY, local, remote, mtu: 1420 };
}

test('pathConditions() names a cluster once that no tunnel reaches, and else each silent tunnel', (t) => {
  const down = { state: 'down', since: 0, misses: 9 } as const;
  const up = { state: 'up', since: 0, misses: 0 } as const;
  const young = { state: 'unknown', since: 9000, misses: 0 } as const;
  const tunnels = (['a/0#0', 'a/1#0', 'b/0#0', 'b/1#0', 'c/0#0', 'd/0#0'] as const).map(tunnel);
  const paths = new Map<TunnelId, typeof down | typeof up | typeof young>([
    ['a/0#0', down],
    ['a/1#0', down],
    ['b/0#0', up],
    ['b/1#0', down],
    ['c/0#0', young],
    ['d/0#0', down],
  ]);
  t.deepEqual(
    pathConditions(tunnels, { known: (id) => paths.get(id), led: new Set('d') }, 10_000).map(
      ({ code, about }) => [code, about],
    ),
    [
      ['IST_NO_PATH', 'a'],
      ['IST_TUNNEL_DOWN', 'b/1#0'],
      ['IST_PATH_BY_SIBLING', 'd'],
    ],
  );
});

test('ledBySiblings() names clusters that any other gateway reaches', (t) => {
  const { remotes } = reached(fleetMapper(SITE.id))(view([EAST, WEST, EDGE]), SITE).fleet;
  const led = (...siblings: readonly (readonly [number, readonly number[]])[]): readonly string[] => [
    ...ledBySiblings(remotes, new Map(siblings.map(([ordinal, clusters]) => [ordinal, new Set(clusters)]))),
  ];
  t.deepEqual(led([1, []], [2, [WEST.index]]), ['west']);
  t.deepEqual(led([1, [EDGE.index]], [2, [WEST.index, EDGE.index]]), ['edge', 'west']);
  t.deepEqual(led([1, []]), []);
  t.deepEqual([...ledBySiblings(remotes)], []);
});

test('drainConditions() names what somebody has taken out of use', (t) => {
  const found = drainConditions({ gateways: ['gw-1'], clusters: [parseClusterId('west')] });
  t.deepEqual(
    found.map(({ code, about, text }) => [code, about, /`.*`/.exec(text)?.[0]]),
    [
      ['IST_DRAINED', 'gateway gw-1', '`clusterctl undrain gateway gw-1`'],
      ['IST_DRAINED', 'cluster west', '`clusterctl undrain cluster west`'],
    ],
  );
});

test('stoppedConditions() names a gateway once whose kernel has refused for a while', (t) => {
  const path = { state: 'up', since: 0, refusedSince: 1000 } as const;
  const tunnels = (['a/0#0', 'a/0#1'] as const).map(tunnel);
  t.deepEqual(
    stoppedConditions(tunnels, () => path, 11_000),
    [],
  );
  t.deepEqual(
    stoppedConditions(tunnels, () => path, 11_001).map(({ code, about }) => [code, about]),
    [['IST_GATEWAY_STOPPED', 'a/0']],
  );
});

test('standingConditions() names far gateways that do not forward, and paths that IPv6 cannot use', (t) => {
  const tunnels = (['a/0#0', 'a/0#1', 'b/0#0', 'c/0#0'] as const).map(tunnel);
  const standings = new Map<TunnelId, Standing>([
    ['a/0#0', { ...FINE, deaf: true }],
    ['a/0#1', { ...FINE, deaf: true, blocked: true }],
    ['b/0#0', { ...FINE, blocked: true, narrow: true }],
  ]);
  const standing = (id: TunnelId): Standing | undefined => standings.get(id);
  const found = standingConditions(tunnels, {
    standing,
    known: () => ({ state: 'up', since: 0, mtu: 1200 }),
  });
  t.deepEqual(
    found.map(({ code, about, text }) => [code, about, /of 1200 bytes/.exec(text)?.[0]]),
    [
      ['IST_GATEWAY_DEAF', 'a/0', undefined],
      ['IST_PATH_NARROW', 'b/0#0', 'of 1200 bytes'],
    ],
  );
});

test('reportBlocked() names what forbids forwarding for as long as clusters say so, and reads it once', async (t) => {
  const stop = new AbortController();
  const conditions = new Conditions(QUIET);
  const clusters = new Set<string>();
  const asked: string[] = [];
  const run: Run = ({ argv }) => {
    asked.push(argv[0]);
    const chain = '\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n';
    return Promise.resolve(argv[0] === 'nft' ? `table ip filter {\n${chain}}\n` : '1\n');
  };
  const options = { conditions, run, node: 'gw-0', clusters: () => clusters, periodMs: 1 };
  const reporting = reportBlocked({ ...options, signal: stop.signal });
  const texts = (): string[] => conditions.all().map(({ text }) => text);
  await delay(20);
  t.deepEqual([texts(), asked], [[], []]);
  for (const cluster of ['a', 'b']) {
    clusters.add(cluster);
    await delay(20);
  }
  t.deepEqual(texts(), [
    'No node behind this gateway answers "a", "b" through it: look at chain FORWARD of table ip filter: policy drop. Own nodes take other gateways',
  ]);
  t.deepEqual(asked, ['nft', 'sysctl', 'sysctl']);
  clusters.clear();
  await delay(20);
  t.deepEqual(texts(), []);
  stop.abort();
  await reporting;
});

test('familyConditions() names a silent IPv6 tunnel of a device that sends IPv4 too', (t) => {
  const other = parsePublicKey(Buffer.alloc(32, 9).toString('base64'));
  const peer = (publicKey: typeof KEY, address: string): DevicePlan['peers'][number] => {
    const endpoint = { address: parseAddress(address), port: 51820 };
    return { publicKey, endpoint, allowedIps: [], keepalive: 0 };
  };
  const device = (name: string, ...peers: DevicePlan['peers']): DevicePlan => {
    return { name, lane: 0, listenPort: 51820, fwmark: 0, peers };
  };
  const devices = [
    device('ist00', peer(other, '192.0.2.1'), peer(KEY, '2001:db8::1')),
    device('ist10', peer(KEY, '2001:db8::2')),
  ];
  const tunnels = [tunnel('a/0#0'), { ...tunnel('a/1#0'), device: 'ist10' }];
  const down = { state: 'down', since: 0, misses: 9 } as const;
  t.deepEqual(
    familyConditions(devices, tunnels, () => down, 9000).map(({ code, about }) => [code, about]),
    [['IST_WIREGUARD_FAMILIES', 'ist00']],
  );
  t.deepEqual(
    familyConditions(devices, tunnels, () => undefined, 9000),
    [],
  );
});

test('relief() is what siblings lead to that neither drain nor have lost their daemon', (t) => {
  const link = (node: string, ordinal?: number): LinkPlan => {
    return { node, local: '', remote: '', ...(ordinal !== undefined && { ordinal }) };
  };
  const links = [link('gw-1', 1), link('gw-2', 2), link('gw-3', 3), link('worker-1')];
  const told = { impaired: false, draining: false, blocked: false };
  const says = new Map(
    [
      { id: 'gw-1', draining: false, reach: [2, 3] },
      { id: 'gw-2', draining: true, reach: [4] },
      { id: 'gw-3', draining: false, reach: [5] },
      { id: 'worker-1', draining: false, reach: [6] },
    ].map(({ id, draining, reach }) => [id, { ...told, draining, reach: new Set(reach) }]),
  );
  const nodeOf = (id: string): string => links.find((each) => linkId(each) === id)?.node ?? '';
  const paths = {
    isUp: () => true,
    isHung: (id: string) => nodeOf(id) === 'gw-3',
    told: (id: string) => says.get(nodeOf(id)),
    report: () => undefined,
  };
  t.deepEqual(relief(links, paths), new Set([2, 3]));
});

test('stateOf() turns sets and monotonic times into what JSON readers expect', (t) => {
  const known = {
    membership: 'member',
    fleet: undefined,
    host: undefined,
    drains: { gateways: [], clusters: [parseClusterId('b')] },
    devices: [],
    tunnels: [tunnel('a/0#0')],
  } as const;
  const detector = new Detector({ now: 400, random: () => 0 });
  detector.watch(
    ['a/0#0', 'node gw-1'].map((id) => ({ id, neighbour: id, far: '', isProven: true })),
    400,
  );
  const prober = {
    reports: () => detector.reports(),
    standing: (): Standing => ({ ...FINE, impaired: true }),
    relief: () => new Set([7, 2]),
    ignored: () => new Map([['stale', 2]] as const),
  };
  const seen = { traffic: { carries: new Set(['b', 'a']), looks: 3 }, prober };
  const state = JSON.stringify(stateOf(known, seen, { monotonic: 1400, wall: new Date(5000) }));
  t.true(state.includes('"since":"1970-01-01T00:00:04.000Z"'), state);
  t.true(state.includes('"impaired":true'), state);
  t.true(state.includes('"relief":[2,7]'), state);
  t.true(state.includes('"rests":{"gateway":false,"clusters":["b"]}'), state);
  t.is(state.match(/"used":false/g)?.length, 1, 'nobody says it of a link');
});

function sorted(names: readonly string[]): string[] {
  return names.toSorted((a, b) => (a < b ? -1 : 1));
}

async function published(t: ExecutionContext): Promise<{
  directory: string;
  files: () => Promise<string[]>;
  text: (id: string) => Promise<string>;
}> {
  const directory = await mkdtemp(join(tmpdir(), 'isthmus-publish-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  await writeFile(
    join(directory, 'site.yaml'),
    'cluster: east\npodCIDRs: [10.1.0.0/16]\nnodes:\n  - { name: gw-0, role: gateway, ordinal: 0, addresses: [192.168.1.10] }\n',
  );
  return {
    directory,
    files: async () => sorted(await readdir(join(directory, 'clusters')).catch(() => [])),
    text: (id) => readFile(join(directory, 'clusters', `${id}.yaml`), 'utf8'),
  };
}

const CLUSTERSET = { clusterset: 'test', cluster: SITE.id, index: 1, fabric: view([]).fabric, left: false };

test('Publisher writes what is new at once and removes at once what it saw leave', async (t) => {
  const { directory, files } = await published(t);
  const publisher = new Publisher({ directory });
  const [west, edge] = [remote('west', 2, [0]), remote('edge', 3, [0])];
  t.is(
    await publisher.publish({ clusterset: CLUSTERSET, remotes: [west, edge], complete: false }),
    undefined,
  );
  t.deepEqual(await files(), ['edge.yaml', 'west.yaml']);
  await publisher.publish({ clusterset: CLUSTERSET, remotes: [west], complete: false });
  t.deepEqual(await files(), ['west.yaml']);
});

test('Publisher does not remove a file that it knows nothing of while the broker is silent', async (t) => {
  const { directory, files } = await published(t);
  let now = 0;
  const before = new Publisher({ directory });
  await before.publish({ clusterset: CLUSTERSET, remotes: [remote('west', 2, [0])], complete: true });
  const restarted = new Publisher({ directory, now: () => now });
  for (now = 0; now < 60_000; now += 10_000) {
    t.is(await restarted.publish({ clusterset: CLUSTERSET, remotes: [], complete: false }), undefined);
  }
  t.deepEqual(await files(), ['west.yaml']);
  t.is(await restarted.publish({ clusterset: CLUSTERSET, remotes: [], complete: true }), 5000);
  now += 5000;
  await restarted.publish({ clusterset: CLUSTERSET, remotes: [], complete: true });
  t.deepEqual(await files(), []);
});

test('Publisher writes what is missing while the broker is silent', async (t) => {
  const { directory, files } = await published(t);
  let now = 0;
  const restarted = new Publisher({ directory, now: () => now });
  const knowledge = { clusterset: CLUSTERSET, remotes: [remote('west', 2, [0])], complete: false };
  await restarted.publish(knowledge);
  t.deepEqual(await files(), ['west.yaml']);
  t.deepEqual((await readSite(directory)).clusterset?.clusters.map(String), ['west']);
  await rm(join(directory, 'clusters'), { recursive: true });
  for (now = 1000; now <= 6000; now += 1000) await restarted.publish(knowledge);
  t.deepEqual(await files(), ['west.yaml']);
});

test('Publisher that is behind leaves the file of the one that is ahead for a while', async (t) => {
  const { directory, text } = await published(t);
  let now = 0;
  const [ahead, behind] = [new Publisher({ directory }), new Publisher({ directory, now: () => now })];
  const old = remote('west', 2, [0]);
  const fresh = remote('west', 2, [0, 1]);
  await ahead.publish({ clusterset: CLUSTERSET, remotes: [old], complete: true });
  await behind.publish({ clusterset: CLUSTERSET, remotes: [old], complete: true });
  await ahead.publish({ clusterset: CLUSTERSET, remotes: [fresh], complete: true });
  const written = await text('west');
  now = 1000;
  t.is(await behind.publish({ clusterset: CLUSTERSET, remotes: [old], complete: true }), 5000);
  t.is(await text('west'), written);
  now = 2000;
  t.is(await behind.publish({ clusterset: CLUSTERSET, remotes: [old], complete: true }), 4000);
  await behind.publish({ clusterset: CLUSTERSET, remotes: [fresh], complete: true });
  t.is(await text('west'), written);
});

test('Publisher puts back a file that was changed by hand, after it has settled', async (t) => {
  const { directory, text } = await published(t);
  let now = 0;
  const publisher = new Publisher({ directory, now: () => now });
  const publish = (): Promise<number | undefined> =>
    publisher.publish({ clusterset: CLUSTERSET, remotes: [west], complete: true });
  const west = remote('west', 2, [0]);
  await publish();
  const written = await text('west');
  await writeFile(join(directory, 'clusters/west.yaml'), written.replace('index: 2', 'index: 7'));
  now = 1000;
  t.is(await publish(), 5000);
  now = 6000;
  await publish();
  t.is(await text('west'), written);
});

test('Publisher goes on listing a cluster whose file was lost', async (t) => {
  const { directory, files } = await published(t);
  let now = 0;
  const publisher = new Publisher({ directory, now: () => now });
  const knowledge = { clusterset: CLUSTERSET, remotes: [remote('west', 2, [0])], complete: true };
  await publisher.publish(knowledge);
  await rm(join(directory, 'clusters'), { recursive: true });
  t.is(await publisher.publish(knowledge), 1000, 'it looks once a second');
  now = 1000;
  t.is(await publisher.publish(knowledge), 5000);
  const { clusters, missing } = await readSite(directory);
  t.deepEqual([clusters, missing.map(String)], [[], ['west']]);
  now = 6000;
  await publisher.publish(knowledge);
  t.deepEqual(await files(), ['west.yaml']);
});

test('Publisher marks the clusterset as left and takes the other clusters away', async (t) => {
  const { directory, files } = await published(t);
  const publisher = new Publisher({ directory });
  await publisher.publish({ clusterset: CLUSTERSET, remotes: [remote('west', 2, [0])], complete: true });
  await publisher.leave();
  t.deepEqual(await files(), []);
  t.regex(await readFile(join(directory, 'clusterset.yaml'), 'utf8'), /^left: true$/m);
});

/** A kernel that holds nothing and takes everything, on a host with the gateway's address. */
const kernel: Run = ({ argv }) => {
  const text = argv.join(' ');
  if (text.includes('address show')) {
    return Promise.resolve('[{"ifname":"eth0","mtu":1500,"addr_info":[{"local":"192.168.1.10"}]}]');
  }
  const shows = argv.includes('-batch') ? (argv.includes('-d') ? 3 : argv.includes('-6') ? 9 : 8) : 1;
  if (argv[0] === 'nft') return Promise.resolve('{"nftables":[]}');
  return Promise.resolve(argv[0] === 'ip' || argv[0] === 'bridge' ? '[]\n'.repeat(shows) : '');
};

/** A member that knows one other cluster, and what it was told to say. */
class FakeMember implements Member {
  readonly said: string[] = [];
  /** Its disk is. */
  isFull = false;
  own: BrokerStatus['own'] = [];
  view = (): ClustersetView => view([EAST, WEST]);
  status = (): BrokerStatus => ({
    cluster: SITE.id,
    connected: true,
    synced: true,
    complete: true,
    cursor: 1,
    members: 2,
    waiting: 0,
    accepted: 2,
    refused: {},
    standing: [],
    records: [],
    gaps: 0,
    resyncs: 0,
    own: this.own,
    conditions: [],
  });
  async *changes(): AsyncIterable<ClustersetView> {
    yield await Promise.resolve(this.view());
  }
  publishGateway({ ordinal }: { readonly ordinal: number }): Promise<void> {
    if (this.isFull) return Promise.reject(new Error('no space left on device'));
    this.said.push(`gateway ${ordinal}`);
    return Promise.resolve();
  }
  withdraw(): Promise<void> {
    this.said.push('withdrawn');
    return Promise.resolve();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
  }
}

const QUIET = openLog({ component: 'test', destination: { write: () => {} } });

function newGateway(
  directory: string,
  member: Member,
  conditions: Conditions,
  { signal, run = kernel }: { readonly signal: AbortSignal; readonly run?: Run } = new AbortController(),
): Gateway {
  const metrics = openMetrics({ component: 'test', version: '0' });
  return new Gateway({
    tools: { log: QUIET, metrics, conditions, signal, wake: () => {} },
    flags: {
      site: directory,
      secrets: directory,
      state: join(directory, 'state'),
      node: 'gw-0',
      statusPort: 0,
      logLevel: 'error',
    },
    run,
    member,
    wireguard: { kind: 'kernel', wireguard: 'kernel' },
    resilient: true,
  });
}

function newStatement(t: ExecutionContext, options: Partial<StatementOptions>): Statement {
  const ended = new AbortController();
  t.teardown(() => ended.abort());
  const lanes = { keys: [PrivateKey.generate()], fault: undefined };
  const conditions = new Conditions(QUIET);
  return new Statement({
    member: new FakeMember(),
    lanes,
    conditions,
    node: 'gw-0',
    signal: ended.signal,
    ...options,
  });
}

test('Lanes states those that are given up until others have left them, and keeps them until nothing is on its way', async (t) => {
  const stateDir = await mkdtemp(join(tmpdir(), 'isthmus-lanes-'));
  t.teardown(() => rm(stateDir, { recursive: true, force: true }));
  let now = 0;
  const lanes = new Lanes({ stateDir, log: QUIET, now: () => now });
  const hold = async (wanted: number): Promise<number[]> => [
    await lanes.hold(wanted),
    lanes.keys.length,
    lanes.stated,
  ];
  t.deepEqual([await hold(3), lanes.restMs], [[3, 3, 3], Infinity]);
  t.deepEqual([await hold(1), lanes.restMs], [[3, 3, 3], 1000]);
  now += 750;
  t.deepEqual([await hold(1), lanes.restMs], [[3, 3, 3], 250]);
  now += 250;
  t.deepEqual([await hold(1), lanes.restMs], [[3, 3, 1], 1000], 'the record is shorter');
  now += 1000;
  t.deepEqual([await hold(1), lanes.restMs], [[1, 1, 1], Infinity]);
  t.deepEqual(await hold(2), [2, 2, 2]);
  t.deepEqual([await hold(1), await hold(2), lanes.restMs], [[2, 2, 2], [2, 2, 2], Infinity], 'called back');
  const next = new Lanes({ stateDir, log: QUIET, now: () => now });
  t.deepEqual([await next.hold(1, 3), next.stated, next.restMs], [3, 3, 1000], 'after a restart');
  now += 2000;
  t.deepEqual([await next.hold(1, 3), next.stated], [1, 1]);
});

test('Lanes renews a key on disk before anybody gets it, and has its time', async (t) => {
  const stateDir = await mkdtemp(join(tmpdir(), 'isthmus-lanes-'));
  t.teardown(() => rm(stateDir, { recursive: true, force: true }));
  const lanes = new Lanes({ stateDir, log: QUIET });
  await lanes.hold(2);
  const before = lanes.keys.map(({ publicKey }) => publicKey);
  t.is(await wishLaneKeys(stateDir, new Set()), 2);
  await lanes.look();
  t.deepEqual(lanes.times, [86_400_000, 86_400_000]);
  await lanes.renew(1);
  const after = lanes.keys.map(({ publicKey }) => publicKey);
  t.is(after[0], before[0]);
  t.not(after[1], before[1]);
  t.is(lanes.times[0], 86_400_000);
  t.true(Date.now() - (lanes.times[1] ?? 0) < 60_000);
  const restarted = new Lanes({ stateDir, log: QUIET });
  await restarted.hold(2);
  t.deepEqual(
    restarted.keys.map(({ publicKey }) => publicKey),
    after,
  );
  await wishLaneKeys(stateDir, new Set([0, 1]));
  await lanes.look();
  t.deepEqual(lanes.times, [0, 0]);
});

test('Lanes goes on with the keys that it has, and tries again', async (t) => {
  const stateDir = await mkdtemp(join(tmpdir(), 'isthmus-lanes-'));
  t.teardown(() => rm(stateDir, { recursive: true, force: true }));
  const lanes = new Lanes({ stateDir, log: QUIET });
  await lanes.hold(1);
  const inTheWay = join(stateDir, 'wireguard/lane-1.key');
  await mkdir(inTheWay);
  t.deepEqual([await lanes.hold(2), lanes.keys.length], [1, 1], 'no lane is added');
  t.regex(lanes.fault ?? '', /lane-1\.key/);
  t.true(lanes.restMs <= 5000);
  const next = new Lanes({ stateDir, log: QUIET });
  for (const _ of [1, 2]) t.deepEqual([await next.hold(2), next.keys.length], [2, 1], 'none is taken away');
  await rm(inTheWay, { recursive: true });
  t.deepEqual([await lanes.hold(2), lanes.keys.length, lanes.fault], [2, 2, undefined]);
});

test('Gateway whose key cannot be had applies its plan, and does not say that it has none', async (t) => {
  const { directory } = await published(t);
  await writeFile(join(directory, 'state'), 'no directory');
  const member = new FakeMember();
  const conditions = new Conditions(QUIET);
  await using gateway = newGateway(directory, member, conditions);
  await gateway.pass();
  t.deepEqual(member.said, []);
  t.deepEqual(
    conditions.all().flatMap(({ code }) => (code === 'IST_HOST_INCOMPLETE' ? [code] : [])),
    ['IST_HOST_INCOMPLETE'],
  );
  t.regex(gateway.ready() ?? '', /lane-0\.key/);
});

test('Gateway gives no lane a new key while the broker or its own host lacks something of what it has', async (t) => {
  const { directory } = await published(t);
  const state = join(directory, 'state');
  const member = new FakeMember();
  const ended = new AbortController();
  t.teardown(() => ended.abort());
  let isBroken = false;
  const run: Run = (command) => (isBroken ? Promise.reject(new Error('no memory')) : kernel(command));
  const { signal } = ended;
  await using gateway = newGateway(directory, member, new Conditions(QUIET), { signal, run });
  const rotation = async (): Promise<string | undefined> => {
    await gateway.pass();
    return /"rotation":"(\w+)"/.exec(JSON.stringify(gateway.state()))?.[1];
  };
  await gateway.pass();
  await wishLaneKeys(state, new Set([0]));
  // What looks at traffic and at wishes.
  void gateway.sources[2]?.();
  await delay(1100);
  t.is(await rotation(), 'wished', 'the broker has nothing');
  const slot = { slot: 'gw.0', epoch: 1, version: 1, acknowledged: true, reasserted: 0, contested: 0 };
  member.own = [slot, { ...slot, acknowledged: false }];
  t.is(await rotation(), 'wished', 'the broker has not acknowledged it');
  const path = join(directory, 'site.yaml');
  const site = await readFile(path, 'utf8');
  await mkdir(join(state, 'wireguard/lane-1.key'));
  await writeFile(path, `${site}lanes: 2\n`);
  await gateway.pass();
  member.own = [slot];
  t.is(await rotation(), 'wished', 'another lane has no key');
  await writeFile(path, site);
  member.own = [];
  await gateway.pass();
  isBroken = true;
  gateway.noticed('facts');
  await t.throwsAsync(gateway.pass(), { message: /no memory/ });
  isBroken = false;
  member.own = [slot];
  t.is(await rotation(), 'wished', 'the last plan is not in the kernel');
  t.is(await rotation(), 'resting');
});

test('Gateway takes back its record when site.yaml has it no more, says so, and states it again', async (t) => {
  const { directory } = await published(t);
  const member = new FakeMember();
  const conditions = new Conditions(QUIET);
  const ended = new AbortController();
  await using gateway = newGateway(directory, member, conditions, ended);
  const path = join(directory, 'site.yaml');
  const listed = await readFile(path, 'utf8');
  const codes = (): string[] => conditions.all().map(({ code }) => code);
  t.teardown(() => ended.abort());
  // The statement's own loop.
  void gateway.sources.at(-1)?.();
  const says = async (...said: readonly string[]): Promise<void> => {
    await gateway.pass();
    while (member.said.length < said.length) await delay(5);
    t.deepEqual(member.said, said);
  };
  await says('gateway 0');
  await writeFile(path, listed.replace('gw-0', 'gw-1'));
  await says('gateway 0', 'withdrawn');
  await writeFile(path, listed.replace('cluster: east', 'cluster: eest'));
  await says('gateway 0', 'withdrawn', 'gateway 0');
  t.true(codes().includes('IST_SITE_INVALID'));
  await writeFile(path, listed.replace('gw-0', 'gw-1'));
  await gateway.pass();
  t.true(codes().includes('IST_GATEWAY_UNLISTED'));
});

test('Publisher that is told of the departure while it writes leaves nothing of the other clusters', async (t) => {
  const { directory, files } = await published(t);
  const publisher = new Publisher({ directory });
  const remotes = Array.from({ length: 40 }, (_, at) => remote(`c${at}`, at + 2, [0]));
  const publishing = publisher.publish({ clusterset: CLUSTERSET, remotes, complete: true });
  await publisher.leave();
  await publishing;
  t.deepEqual(await files(), []);
  t.regex(await readFile(join(directory, 'clusterset.yaml'), 'utf8'), /^left: true$/m);
});

test('Statement is taken back after others have had the time to leave, and stands again at once', async (t) => {
  const member = new FakeMember();
  let now = 0;
  const statement = newStatement(t, { member, now: () => now });
  const node = gatewayNode(SITE, 'gw-0');
  statement.takeBack();
  t.deepEqual(await statement.step(), {}, 'nothing was said');
  statement.state(node, 1);
  for (const _ of [1, 2]) t.deepEqual(await statement.step(), {});
  statement.takeBack();
  t.deepEqual(await statement.step(), { againMs: 1000 });
  now = 400;
  statement.takeBack();
  t.deepEqual(await statement.step(), { againMs: 600 });
  t.deepEqual(member.said, ['gateway 0']);
  statement.state(node, 1);
  now = 1000;
  statement.takeBack();
  t.deepEqual(await statement.step(), { againMs: 1000 }, 'it was called back in between');
  now = 2000;
  t.deepEqual(await statement.step(), {});
  statement.state(node, 1);
  await statement.step();
  t.deepEqual(member.said, ['gateway 0', 'withdrawn', 'gateway 0']);
});

test('Statement that cannot be said is a condition, and is said as soon as it can be', async (t) => {
  const member = new FakeMember();
  const conditions = new Conditions(QUIET);
  const statement = newStatement(t, { member, conditions });
  const codes = (): string[] => conditions.all().map(({ code }) => code);
  member.isFull = true;
  statement.state(gatewayNode(SITE, 'gw-0'), 1);
  void statement.run();
  while (!codes().includes('IST_RECORD_UNSAID')) await delay(5);
  member.isFull = false;
  while (codes().length > 0) await delay(5);
  t.deepEqual(member.said, ['gateway 0']);
  member.isFull = true;
  statement.state(gatewayNode(SITE, 'gw-0'), 0);
  while (codes().length === 0) await delay(5);
  statement.state(gatewayNode(SITE, 'gw-0'), 1);
  while (codes().length > 0) await delay(5);
  t.deepEqual(member.said, ['gateway 0'], 'nothing is wanted any more that was not said');
});

test('resting() gives a gateway that drains or is not listed, lanes that are not wanted, and drained clusters', (t) => {
  const wanted = { drains: NO_DRAINS, isListed: true, lanes: 6 };
  t.deepEqual(resting('gw-0', wanted), { gateway: false, lanes: new Set([6, 7]), clusters: new Set() });
  t.true(resting('gw-0', { ...wanted, isListed: false }).gateway);
  const drains = { gateways: ['gw-1'], clusters: [parseClusterId('west')] };
  t.deepEqual(resting('gw-1', { drains, isListed: true, lanes: 8 }), {
    gateway: true,
    lanes: new Set(),
    clusters: new Set(['west']),
  });
  t.false(resting('gw-0', { ...wanted, drains }).gateway);
  const rekeyed = { gateway: true, lanes: [1] };
  t.deepEqual(resting('gw-0', { ...wanted, rekeyed }), {
    gateway: true,
    lanes: new Set([6, 7, 1]),
    clusters: new Set(),
  });
});

test('inputsReader() hands on what the site drains, also while site.yaml or drains.yaml cannot be used', async (t) => {
  const { directory } = await published(t);
  const conditions = new Conditions(QUIET);
  const inputs = inputsReader({
    reader: new SiteReader(directory),
    view: () => view([{ ...EAST, gateways: [{ ordinal: 0, keys: [KEY, KEY] }] }, WEST]),
    cluster: SITE.id,
    node: 'gw-0',
    conditions,
  });
  t.is((await inputs()).stated, 2);
  const drained = async (): Promise<unknown> => {
    const { drains, isListed, node } = await inputs();
    return resting(node.name, { drains, isListed, lanes: 8 });
  };
  const rests = (gateway: boolean, ...clusters: string[]): unknown => {
    return { gateway, lanes: new Set(), clusters: new Set(clusters) };
  };
  const write = (file: string, text: string): Promise<void> => writeFile(join(directory, file), text);
  const codes = (): string[] => conditions.all().map(({ code }) => code);
  await write('drains.yaml', 'gateway: slip\n');
  t.deepEqual(await drained(), rests(false), 'a slip keeps nobody from work');
  t.deepEqual(codes(), ['IST_SITE_INVALID']);
  await write('drains.yaml', 'gateways: [gw-0]\nclusters: []\n');
  t.deepEqual(await drained(), rests(true));
  t.deepEqual(codes(), []);
  await write('site.yaml', 'cluster: [');
  await write('drains.yaml', 'gateways: []\nclusters: [west]\n');
  t.deepEqual(await drained(), rests(false, 'west'));
  await write('drains.yaml', 'another: slip\n');
  t.deepEqual(await drained(), rests(false, 'west'), 'what was last usable');
  t.deepEqual(codes(), ['IST_SITE_INVALID', 'IST_SITE_INVALID']);
  await rm(join(directory, 'drains.yaml'));
  t.deepEqual(await drained(), rests(false));
});
