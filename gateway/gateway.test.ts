// The gateway's pure parts, its prober between two sockets' worth of loopback, and its files.

import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import * as fc from 'fast-check';
import type { ClustersetView, MemberView } from '#broker';
import { parseAddress, parseCidr, isCidr4, isCidr6 } from '#lib/ip';
import type { Cidr4, Cidr6 } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import { parsePublicKey } from '#lib/wireguard';
import { parseSite, readSite } from '#site';
import { clusterGroup, tunnelNexthop } from '#topology';
import type { RemoteCluster, TunnelId, TunnelPlan } from '#topology';
import { provenTunnels } from './adopt.ts';
import { fleetMapper, withGuards } from './fleet.ts';
import { gatewayNode } from './inputs.ts';
import { pathConditions } from './paths.ts';
import { encodeProbe, parseProbe } from './probe-message.ts';
import { Prober } from './prober.ts';
import { Publisher } from './publish.ts';
import { ProbeSockets } from './responder.ts';
import { stateOf } from './state.ts';

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
  const mapped = reached(fleetMapper())(view([WEST, EAST, EDGE]), SITE);
  t.is(mapped.membership, 'member');
  t.is(mapped.fleet.own.index, 1);
  t.deepEqual(
    mapped.fleet.remotes.map(({ id }) => String(id)),
    ['edge', 'west'],
  );
});

test('fleetMapper() keeps the objects of unchanged members', (t) => {
  const map = reached(fleetMapper());
  const first = map(view([EAST, WEST, EDGE]), SITE);
  const second = map(view([EAST, WEST, { ...EDGE, gateways: [] }]), SITE);
  t.is(second.fleet.remotes[1], first.fleet.remotes[1]);
  t.not(second.fleet.remotes[0], first.fleet.remotes[0]);
});

test('fleetMapper() keeps a revoked member without gateways, so that its CIDRs stay unreachable', (t) => {
  const mapped = reached(fleetMapper())(view([EAST, WEST], [{ ...EDGE, gateways: [] }]), SITE);
  t.deepEqual(
    mapped.fleet.remotes.map(({ id, gateways }) => [String(id), gateways.length]),
    [
      ['edge', 0],
      ['west', 1],
    ],
  );
});

test('fleetMapper() keeps every CIDR and no gateway once the own cluster is revoked', (t) => {
  const mapped = reached(fleetMapper())(view([WEST, EDGE], [EAST]), SITE);
  t.is(mapped.membership, 'revoked');
  t.is(mapped.fleet.own.index, 1);
  t.deepEqual(
    mapped.fleet.remotes.map(({ gateways }) => gateways),
    [[], []],
  );
});

test('withGuards() adds what only the site directory names, without gateways, and changes nothing that is known', (t) => {
  const { fleet } = reached(fleetMapper())(view([EAST, WEST]), SITE);
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
  t.deepEqual(fleetMapper()(view([WEST]), SITE), { membership: 'left' });
});

test('fleetMapper() refuses a site whose CIDRs are not those of the certificate', (t) => {
  const other = { ...EAST, podCidrs: [parseCidr('10.9.0.0/16')] };
  t.throws(() => fleetMapper()(view([other]), SITE), {
    message:
      /^Cannot use site\.yaml: podCIDRs are 10\.1\.0\.0\/16, the membership of "east" is for 10\.9\.0\.0\/16\./,
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
    { id: clusterGroup(4, 2), members: [tunnelNexthop(4, 1)] },
    { id: clusterGroup(4, 9), members: [tunnelNexthop(4, 0)] },
  ];
  t.deepEqual([...provenTunnels(fleet, groups)], ['west/0#0', 'west/0#1', 'west/3#1']);
});

function tunnel(id: TunnelId): TunnelPlan {
  const [local, remote] = [[parseAddress('fd00::1')], [parseAddress('fd00::2')]];
  return { id, device: 'ist00', peer: KEY, local, remote };
}

test('pathConditions() names a cluster once that no tunnel reaches, and else each silent tunnel', (t) => {
  const down = { state: 'down', since: 0, misses: 9 } as const;
  const up = { state: 'up', since: 0, misses: 0 } as const;
  const young = { state: 'unknown', since: 9000, misses: 0 } as const;
  const tunnels = (['a/0#0', 'a/1#0', 'b/0#0', 'b/1#0', 'c/0#0'] as const).map(tunnel);
  const paths = new Map<TunnelId, typeof down | typeof up | typeof young>([
    ['a/0#0', down],
    ['a/1#0', down],
    ['b/0#0', up],
    ['b/1#0', down],
    ['c/0#0', young],
  ]);
  t.deepEqual(
    pathConditions(tunnels, paths, 10_000).map(({ code, about }) => [code, about]),
    [
      ['IST_NO_PATH', 'a'],
      ['IST_TUNNEL_DOWN', 'b/1#0'],
    ],
  );
});

test('stateOf() turns sets and monotonic times into what JSON readers expect', (t) => {
  const known = {
    membership: 'member',
    fleet: undefined,
    host: undefined,
    tunnels: [tunnel('a/0#0')],
  } as const;
  const paths = new Map([['a/0#0', { state: 'up', since: 400, misses: 0, rttMs: 2 }]] as const);
  const state = JSON.stringify(stateOf(known, paths, { monotonic: 1400, wall: new Date(5000) }));
  t.true(state.includes('"since":"1970-01-01T00:00:04.000Z"'), state);
});

test('parseProbe() reads what encodeProbe() wrote, and nothing else', (t) => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.constantFrom('ask', 'answer'),
      (nonce, kind) => {
        t.deepEqual(parseProbe(encodeProbe({ kind, nonce })), { kind, nonce });
      },
    ),
    { seed: 3 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      t.is(parseProbe(Buffer.from(bytes)), undefined);
    }),
    { seed: 3 },
  );
  t.is(encodeProbe({ kind: 'answer', nonce: 1n }).length, encodeProbe({ kind: 'ask', nonce: 1n }).length);
});

function sorted(names: readonly string[]): string[] {
  return names.toSorted((a, b) => (a < b ? -1 : 1));
}

test('Prober finds that a tunnel answers, that it no longer does, and kicks it', async (t) => {
  const seen: string[] = [];
  const kicked = Promise.withResolvers<TunnelPlan>();
  const loopback: TunnelPlan = {
    ...tunnel('west/0#0'),
    local: [parseAddress('127.7.3.1')],
    remote: [parseAddress('127.7.3.2')],
  };
  const far = new ProbeSockets(() => t.fail());
  far.sync(new Set(['127.7.3.2']));
  using prober = new Prober({
    changed: (id, { state }) => void seen.push(`${id} ${state}`),
    kick: kicked.resolve,
  });
  prober.start();
  prober.watch([loopback], new Set());
  const until = async (text: string): Promise<void> => {
    for (let count = 0; !seen.includes(text) && count < 600; count += 1) await delay(10);
  };
  await until('west/0#0 up');
  t.deepEqual([...prober.healthy()], ['west/0#0']);
  const started = performance.now();
  far.close();
  await until('west/0#0 down');
  t.true(performance.now() - started < 4500, `${performance.now() - started} ms`);
  t.deepEqual([...prober.healthy()], []);
  t.is(await kicked.promise, loopback);
});

test('Prober knows nothing of a tunnel whose peer is another now', async (t) => {
  const seen: string[] = [];
  using prober = new Prober({
    changed: (id, { state }) => void seen.push(`${id} ${state}`),
    kick: () => t.fail(),
  });
  prober.watch([tunnel('west/0#0')], new Set(['west/0#0']));
  const other = { ...tunnel('west/0#0'), peer: parsePublicKey(Buffer.alloc(32, 9).toString('base64')) };
  prober.watch([other], new Set(['west/0#0']));
  t.deepEqual([...prober.healthy()], []);
  t.deepEqual(seen, ['west/0#0 unknown']);
  await delay(0);
});

test('Prober believes what was proven before, until it has asked', async (t) => {
  using prober = new Prober({ changed: () => t.fail(), kick: () => t.fail() });
  prober.watch([tunnel('west/0#0')], new Set(['west/0#0', 'west/1#0']));
  t.deepEqual([...prober.healthy()], ['west/0#0']);
  prober.watch([], new Set());
  t.deepEqual([...prober.healthy()], []);
  await delay(0);
});

async function published(t: { teardown: (f: () => Promise<void>) => void }): Promise<{
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
  t.is(await behind.publish({ clusterset: CLUSTERSET, remotes: [old], complete: true }), 5000);
  t.is(await text('west'), written);
  now = 2000;
  t.is(await behind.publish({ clusterset: CLUSTERSET, remotes: [old], complete: true }), 3000);
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
  t.is(await publish(), 5000);
  now = 5000;
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
  t.is(await publisher.publish(knowledge), 5000);
  const { clusters, missing } = await readSite(directory);
  t.deepEqual([clusters, missing.map(String)], [[], ['west']]);
  now = 5000;
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
