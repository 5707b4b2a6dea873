// The prober between sockets on loopback, and what it judges by.

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { KNOCK_PORT, PROBE_PORT } from '#lib/constants';
import type { Change } from '#lib/health';
import { parseAddress, parseCidr } from '#lib/ip';
import type { Run } from '#lib/linux';
import { parseClusterId } from '#lib/names';
import { answerTo, direction, encodeProbe, parseProbe, probeKey, seal } from '#lib/probe';
import type { Flags, Probe } from '#lib/probe';
import { PrivateKey, parsePublicKey } from '#lib/wireguard';
import { clusterOf, gatewayOf, laneOf } from '#topology';
import type { LinkPlan, RemoteCluster, TunnelId, TunnelPlan } from '#topology';
import { behindId, familyBehind, gatewaysBehind, linkPath } from './probed.ts';
import { Prober } from './prober.ts';
import type { ProberOptions, Watched } from './prober.ts';
import { Traffic } from './traffic.ts';
import { usable } from './usable.ts';
import type { Standing } from './usable.ts';

/** Lane keys of a tunnel's ends. */
const [NEAR, FAR] = [PrivateKey.generate(), PrivateKey.generate()];
const NOTHING = { gateway: false, lanes: new Set(), clusters: new Set() };

function remote(id: string, index: number, ...podCidrs: string[]): RemoteCluster {
  return {
    id: parseClusterId(id),
    index,
    podCidrs: podCidrs.map(parseCidr),
    serviceCidrs: [],
    gateways: [],
  };
}

const FLEET = { remotes: [remote('west', 2), remote('edge', 3)] };

/** From `127.7.<net>.1` to `127.7.<net>.<to>`. */
function tunnel(id: TunnelId, net: number, to: number, mtu = 1280): TunnelPlan {
  const [local, far] = [[parseAddress(`127.7.${net}.1`)], [parseAddress(`127.7.${net}.${to}`)]];
  return { id, device: 'ist00', peer: FAR.publicKey, local, remote: far, mtu };
}

function link(node: string, net: number, [from, to]: readonly [number, number], ordinal?: number): LinkPlan {
  const ends = { local: `127.7.${net}.${from}`, remote: `127.7.${net}.${to}` };
  return { node, ...(ordinal === undefined ? {} : { ordinal }), ...ends };
}

function watched(parts: Partial<Watched>): Watched {
  return { tunnels: [], links: [], fleet: FLEET, ...parts };
}

/** Of an own gateway with one lane. Kicks fail the test, unless it wants them. */
function prober(t: ExecutionContext, options: Partial<ProberOptions> = {}): Prober {
  const changed = (): void => {};
  const kick = (): void => t.fail('kicked');
  const made = new Prober({ changed, kick, keys: () => [NEAR, NEAR], ...options });
  t.teardown(() => made[Symbol.dispose]());
  return made;
}

const NOTHING_KNOWN = { healthy: new Set<TunnelId>() };

/** A far end, by hand: what it answers, and what it has heard. */
interface FarEnd {
  /** What it says of itself. */
  says: Flags;
  mute: boolean;
  /** Bytes of the largest packet that arrives. */
  room: number;
  readonly asked: Probe[];
  readonly close: () => void;
}

/** Its kernel refuses nothing while it is open. */
async function farEnd(t: ExecutionContext, net: number, at: number): Promise<FarEnd> {
  const open = (): Socket => createSocket({ type: 'udp4', reuseAddr: true });
  const [socket, knocked] = [open(), open()];
  let isOpen = true;
  const close = (): void => {
    if (isOpen) for (const each of [socket, knocked]) each.close();
    isOpen = false;
  };
  const says: Flags = { hears: 'yes', impaired: false, draining: false, blocked: false };
  const far: FarEnd = { says, mute: false, room: 9000, asked: [], close };
  const local = `127.7.${net}.${at}`;
  socket.on('message', (bytes, { address: from, port }) => {
    const probe = parseProbe(bytes);
    if (typeof probe === 'string' || probe.way === 'answer') return;
    far.asked.push(probe);
    if (far.mute || bytes.length + 28 > far.room) return;
    const answer = encodeProbe(answerTo(probe, far.says));
    const ends = { local, remote: from };
    if (probe.kind !== 'link') {
      seal(answer, probeKey({ own: FAR, peer: NEAR.publicKey }, ends), direction(local, from));
    }
    socket.send(answer, port, from, () => {});
  });
  await new Promise<void>((resolve) => socket.bind(PROBE_PORT, local, resolve));
  await new Promise<void>((resolve) => knocked.bind(KNOCK_PORT, local, resolve));
  t.teardown(close);
  return far;
}

/** However late the machine is. */
async function until(t: ExecutionContext, what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds() && tries < 4000; tries += 1) await delay(5);
  t.true(holds(), what);
}

function isHealthy(own: Prober, ...ids: readonly TunnelId[]): () => boolean {
  return () => [...own.health().healthy].toSorted().join() === ids.join();
}

/** What became of paths, in words. */
function story(): { readonly told: string[]; readonly changed: (changes: readonly Change[]) => void } {
  const told: string[] = [];
  const changed = (changes: readonly Change[]): void => {
    for (const { what, path, to } of changes) told.push(`${what} ${path} ${to}`);
  };
  return { told, changed };
}

test('Prober finds that a tunnel answers, that it no longer does, and kicks it', async (t) => {
  const kicked: TunnelPlan[] = [];
  const { told, changed } = story();
  const far = await farEnd(t, 3, 2);
  const own = prober(t, { changed, kick: (tunnels) => void kicked.push(...tunnels) });
  const path = tunnel('west/0#0', 3, 2);
  own.watch(watched({ tunnels: [path] }), NOTHING_KNOWN);
  t.true(isHealthy(own)());
  await until(t, 'up', isHealthy(own, 'west/0#0'));
  far.mute = true;
  await until(t, 'down', isHealthy(own));
  await until(t, 'kicked', () => kicked[0] === path);
  far.mute = false;
  await until(t, 'up again', isHealthy(own, 'west/0#0'));
  t.deepEqual(
    told.filter((text) => text.startsWith('state')),
    ['up', 'down', 'held', 'up'].map((to) => `state west/0#0 ${to}`),
  );
});

test('Prober takes a far kernel that refuses for a path that works, and its daemon back', async (t) => {
  const { told, changed } = story();
  const far = await farEnd(t, 8, 2);
  const own = prober(t, { changed });
  own.watch(watched({ tunnels: [tunnel('west/0#0', 8, 2)] }), NOTHING_KNOWN);
  await until(t, 'up', isHealthy(own, 'west/0#0'));
  const isRefused = (): boolean => own.report('west/0#0')?.refusedSince !== undefined;
  far.close();
  await until(t, 'refused', isRefused);
  await delay(2500);
  t.true(isRefused());
  t.true(own.standing('west/0#0')?.stopped);
  await farEnd(t, 8, 2);
  await until(t, 'answered', () => !isRefused());
  t.false(own.standing('west/0#0')?.stopped);
  t.deepEqual(
    told.filter((text) => text.startsWith('state')),
    ['state west/0#0 up'],
  );
});

test('Prober knows nothing of a tunnel that leads to another peer or address now, or from another key', async (t) => {
  const first = tunnel('west/0#0', 4, 2);
  const other = parsePublicKey(Buffer.alloc(32, 9).toString('base64'));
  for (const [changedTunnel, key] of [
    [{ ...first, peer: other }, NEAR],
    [{ ...first, remote: [parseAddress('127.7.4.9')] }, NEAR],
    [first, FAR],
  ] as const) {
    let keys = [NEAR];
    const own = prober(t, { keys: () => keys, changed: () => t.fail() });
    const proven = { healthy: new Set<TunnelId>(['west/0#0']) };
    own.watch(watched({ tunnels: [first] }), proven);
    t.false(own.renew([{ ...first }]));
    keys = [key];
    t.true(own.renew([changedTunnel]));
    t.true(isHealthy(own)(), 'before it is watched');
    keys = [NEAR];
    own.watch(watched({ tunnels: [first] }), proven);
    keys = [key];
    own.watch(watched({ tunnels: [changedTunnel] }), proven);
    t.true(isHealthy(own)(), 'whatever the kernel holds');
    own[Symbol.dispose]();
  }
  await delay(0);
});

test('Prober believes what was proven before, until it has asked, also when the MTU is another', async (t) => {
  const own = prober(t, { changed: () => t.fail() });
  const path = (mtu: number): TunnelPlan => tunnel('west/0#0', 5, 2, mtu);
  own.watch(watched({ tunnels: [path(1420)] }), {
    healthy: new Set(['west/0#0', 'west/1#0']),
    room: new Map([['west/0#0', 1296]]),
  });
  t.deepEqual([...(own.health().room ?? [])], [['west/0#0', 1296]]);
  t.true(isHealthy(own, 'west/0#0')());
  own.watch(watched({ tunnels: [path(1400)] }), NOTHING_KNOWN);
  t.true(isHealthy(own, 'west/0#0')());
  own.watch(watched({}), NOTHING_KNOWN);
  t.true(isHealthy(own)());
  own.watch(watched({ tunnels: [path(1400)] }), NOTHING_KNOWN);
  t.true(isHealthy(own)(), 'it begins anew');
  await delay(0);
});

for (const [at, flag] of (['draining', 'impaired'] as const).entries()) {
  test(`Prober leaves a far end that says ${flag} while there is another, and uses it where there is none`, async (t) => {
    const net = 10 + at;
    const [far, other] = await Promise.all([farEnd(t, net, 2), farEnd(t, net, 3)]);
    const own = prober(t, { kick: () => {} });
    const tunnels = [tunnel('west/0#0', net, 2), tunnel('west/1#0', net, 3)];
    own.watch(watched({ tunnels }), NOTHING_KNOWN);
    own.traffic(new Set(['west']));
    await until(t, 'both', isHealthy(own, 'west/0#0', 'west/1#0'));
    far.says = { ...far.says, [flag]: true };
    await until(t, 'the other', isHealthy(own, 'west/1#0'));
    t.true(own.standing('west/0#0')?.[flag]);
    other.mute = true;
    await until(t, 'the last', isHealthy(own, 'west/0#0'));
    far.says = { ...far.says, [flag]: false };
    other.mute = false;
    await until(t, 'both again', isHealthy(own, 'west/0#0', 'west/1#0'));
  });
}

test('Prober.rest() tells far ends at once, and keeps own packets off what rests', async (t) => {
  let frozen: number | undefined;
  const [far, spare] = await Promise.all([farEnd(t, 12, 2), farEnd(t, 12, 3)]);
  const own = prober(t, { now: () => frozen ?? performance.now() });
  const tunnels = [tunnel('west/0#0', 12, 2), tunnel('west/0#1', 12, 3)];
  own.watch(watched({ tunnels }), NOTHING_KNOWN);
  await until(t, 'up', isHealthy(own, 'west/0#0', 'west/0#1'));
  // Nothing is due any more: what is asked from here on is asked because of a word.
  frozen = performance.now();
  await delay(100);
  const asked = far.asked.length;
  const heard = (end: FarEnd): string => `${end.asked.at(-1)?.flags.draining}`;
  own.rest({ ...NOTHING, lanes: new Set([1]) });
  await until(t, 'the lane', () => heard(spare) === 'true');
  t.is(heard(far), 'false');
  t.true(isHealthy(own, 'west/0#0')());
  own.rest({ ...NOTHING, lanes: new Set([1]) });
  own.rest({ ...NOTHING, gateway: true });
  await until(t, 'the gateway', () => heard(far) === 'true');
  t.true(isHealthy(own, 'west/0#0', 'west/0#1')(), 'a gateway that drains goes on');
  own.rest({ ...NOTHING, clusters: new Set(['west']) });
  t.true(isHealthy(own)());
  own.rest(NOTHING);
  await until(t, 'nothing', () => heard(far) === 'false');
  t.is(far.asked.length, asked + 4, 'once a change');
});

test('Prober tells siblings which clusters it reaches, and hears it from them', async (t) => {
  const far = await farEnd(t, 13, 2);
  const [one, other] = [prober(t, { kick: () => {} }), prober(t)];
  const tunnels = [tunnel('west/0#0', 13, 2)];
  one.watch(watched({ tunnels, links: [link('gw-1', 13, [1, 4], 1)] }), NOTHING_KNOWN);
  t.is(other.health().gateways, undefined, 'there are none');
  other.watch(watched({ links: [link('gw-0', 13, [4, 1], 0)] }), NOTHING_KNOWN);
  const reach = (): string => [...(other.health().gateways?.get(0) ?? ['unknown'])].join();
  await until(t, 'west', () => reach() === '2');
  t.deepEqual(one.health().gateways, new Map([[1, new Set()]]));
  far.mute = true;
  await until(t, 'nothing', () => reach() === '');
  one[Symbol.dispose]();
  // Its kernel refuses: it works, and its routes stand.
  await until(t, 'refused', () => other.report('node gw-0')?.refusedSince !== undefined);
  t.is(reach(), '');
});

test('Prober has own nodes ask at once when it reaches other clusters than before', async (t) => {
  const far = await farEnd(t, 41, 2);
  let slowedAt: number | undefined;
  const slowed = (from: number): number => from + 25 + (performance.now() - from) / 30;
  const own = prober(t, { kick: () => {} });
  const sibling = prober(t, { now: () => (slowedAt === undefined ? performance.now() : slowed(slowedAt)) });
  own.watch(
    watched({ tunnels: [tunnel('west/0#0', 41, 2)], links: [link('gw-1', 41, [1, 4], 1)] }),
    NOTHING_KNOWN,
  );
  sibling.watch(watched({ links: [link('gw-0', 41, [4, 1], 0)] }), NOTHING_KNOWN);
  const reach = (): string => [...(sibling.health().gateways?.get(0) ?? ['unknown'])].join();
  await until(t, 'west', () => reach() === '2');
  // It asks nothing by itself for a while.
  slowedAt = performance.now();
  far.mute = true;
  await until(t, 'nothing', () => reach() === '');
});

test('Prober does not offer own nodes a cluster whose gateways get nothing through it', async (t) => {
  const [far, other] = await Promise.all([farEnd(t, 30, 2), farEnd(t, 30, 3)]);
  const [own, sibling] = [prober(t), prober(t)];
  const tunnels = [tunnel('west/0#0', 30, 2), tunnel('west/1#0', 30, 3)];
  own.watch(watched({ tunnels, links: [link('gw-1', 30, [1, 4], 1)] }), NOTHING_KNOWN);
  own.traffic(new Set(['west']));
  sibling.watch(watched({ links: [link('gw-0', 30, [4, 1], 0)] }), NOTHING_KNOWN);
  const offers = (reach: string) => () =>
    [...(sibling.health().gateways?.get(0) ?? ['unknown'])].join() === reach;
  await until(t, 'both', isHealthy(own, 'west/0#0', 'west/1#0'));
  await until(t, 'west', offers('2'));
  far.says = { ...far.says, blocked: true };
  await until(t, 'told by one', () => far.asked.length > 40);
  t.true(offers('2')(), 'one of two may be mistaken');
  other.says = far.says;
  await until(t, 'nothing', offers(''));
  t.true(isHealthy(own, 'west/0#0', 'west/1#0')(), 'its own packets have no other way');
  far.says = { ...far.says, blocked: false };
  await until(t, 'west again', offers('2'));
});

test('Prober counts on siblings that nobody has asked, and not on one that stays silent', async (t) => {
  const sibling = await farEnd(t, 14, 2);
  sibling.mute = true;
  const own = prober(t);
  own.watch(watched({ links: [link('gw-1', 14, [1, 2], 1)] }), NOTHING_KNOWN);
  t.is(own.health().gateways, undefined);
  await until(t, 'known to be silent', () => own.health().gateways?.size === 0);
});

test('Prober says that it is impaired once it loses a worker that it has reached, and until it is back', async (t) => {
  const [far, worker, never] = await Promise.all([farEnd(t, 15, 2), farEnd(t, 15, 3), farEnd(t, 15, 4)]);
  never.mute = true;
  const own = prober(t);
  const links = [link('worker-1', 15, [1, 3]), link('worker-2', 15, [1, 4])];
  own.watch(watched({ tunnels: [tunnel('west/0#0', 15, 2)], links }), NOTHING_KNOWN);
  own.traffic(new Set(['west']));
  const says = (): boolean => far.asked.at(-1)?.flags.impaired === true;
  await until(t, 'up', () => own.report('node worker-1')?.state === 'up');
  await until(t, 'silent', () => own.report('node worker-2')?.hears === 'no');
  t.false(says(), 'one that never answered is nobody’s loss');
  worker.mute = true;
  await until(t, 'impaired', says);
  worker.mute = false;
  await until(t, 'whole', () => !says());
  worker.mute = true;
  await until(t, 'impaired again', says);
  own.watch(watched({ tunnels: [tunnel('west/0#0', 15, 2)], links: [] }), NOTHING_KNOWN);
  await until(t, 'a worker that is taken away', () => !says());
});

for (const [at, [room, size]] of (
  [
    [1300, 1296],
    [1290, 1280],
    [1232, 1232],
  ] as const
).entries()) {
  test(`Prober makes room of what passes: ${size} bytes of ${room}`, async (t) => {
    const net = 16 + at;
    const far = await farEnd(t, net, 2);
    far.room = room;
    let changes = 0;
    const own = prober(t, { changed: () => (changes += 1) });
    own.watch(watched({ tunnels: [tunnel('west/0#0', net, 2, 1420)] }), NOTHING_KNOWN);
    const found = (): boolean => own.health().room?.get('west/0#0') === size;
    await until(t, 'found', found);
    t.true(changes > 1, 'and says so');
    own.watch(watched({ tunnels: [] }), NOTHING_KNOWN);
    t.is(own.health().room, undefined);
  });
}

test('linkPath() has links to workers give way to all else, and those to gateways to nothing', (t) => {
  const yields = (ordinal?: number): boolean => linkPath(link('a', 40, [1, 2], ordinal)).spec.yields === true;
  t.deepEqual([yields(), yields(0), yields(1)], [true, false, false]);
});

test('usable() gives the best tunnels of each cluster that answers, and never none', (t) => {
  const standing = fc.option(
    fc.record<Standing>({
      deaf: fc.boolean(),
      narrow: fc.boolean(),
      impaired: fc.boolean(),
      draining: fc.boolean(),
      blocked: fc.boolean(),
      stopped: fc.boolean(),
    }),
    { nil: undefined },
  );
  const id = fc
    .tuple(fc.constantFrom('a', 'b'), fc.nat({ max: 3 }), fc.nat({ max: 2 }))
    .map(([cluster, ordinal, lane]): TunnelId => `${cluster}/${ordinal}#${lane}`);
  const badness = ({ deaf, impaired, narrow, draining }: Standing): string =>
    [deaf, impaired, narrow, draining].map(Number).join('');
  const isWorse = (one: Standing, other: Standing): boolean => badness(one) > badness(other);
  fc.assert(
    fc.property(fc.array(fc.tuple(id, standing)), (all) => {
      const known = new Map(all);
      const tunnels = [...known.keys()].map((each) => ({ id: each }));
      const chosen = usable(tunnels, (each) => known.get(each));
      for (const { id: each } of tunnels) {
        const own = known.get(each);
        const beside = tunnels.flatMap(({ id: other }) =>
          clusterOf(other) === clusterOf(each) ? (known.get(other) ?? []) : [],
        );
        const isBest = own !== undefined && !beside.some((other) => isWorse(own, other));
        t.is(chosen.has(each), isBest, `${each} of ${JSON.stringify(all)}`);
      }
    }),
    { seed: 4 },
  );
});

test('clusterOf(), gatewayOf() and laneOf() take a tunnel’s name apart, and clusterOf() a gateway’s', (t) => {
  t.deepEqual(
    [clusterOf('west/1#0'), clusterOf('west/1'), gatewayOf('west/1#0')],
    ['west', 'west', 'west/1'],
  );
  t.is(laneOf('west/1#7'), 7);
});

test('gatewaysBehind() asks each gateway in each family that its pods and its tunnels have', (t) => {
  const both = (id: TunnelId): TunnelPlan => {
    const [local, far] = [
      ['fd00::1', '100.64.0.1'],
      ['fd00::2', '100.64.0.2'],
    ].map((texts) => texts.map(parseAddress));
    return { id, device: 'ist00', peer: FAR.publicKey, local: local ?? [], remote: far ?? [], mtu: 1420 };
  };
  const only6 = { ...both('edge/0#0'), remote: [parseAddress('fd00::3')] };
  const tunnels = [both('west/0#0'), both('west/0#1'), both('west/1#0'), only6, both('none/0#0')];
  const fleet = {
    remotes: [
      remote('west', 2, '10.2.0.0/16', 'fd02::/48', 'fd03::/48'),
      remote('edge', 3, '10.3.0.0/16', 'fd04::/48'),
      remote('none', 4),
    ],
  };
  t.deepEqual(
    gatewaysBehind(tunnels, fleet).map(({ spec, tunnels: through }) => [
      spec.id,
      spec.cluster,
      through.map(({ id }) => id).join(),
    ]),
    [
      ['west/0 IPv4', 'west IPv4', 'west/0#0,west/0#1'],
      ['west/0 IPv6', 'west IPv6', 'west/0#0,west/0#1'],
      ['west/1 IPv4', 'west IPv4', 'west/1#0'],
      ['west/1 IPv6', 'west IPv6', 'west/1#0'],
      ['edge/0 IPv6', 'edge IPv6', 'edge/0#0'],
    ],
  );
  t.deepEqual([familyBehind(behindId('west/0', 4)), familyBehind(behindId('west/0', 6))], [4, 6]);
});

test('Traffic names clusters whose tunnels carry more than probes, and none whose counters begin anew', async (t) => {
  const other = parsePublicKey(Buffer.alloc(32, 9).toString('base64'));
  let now = 5000;
  let counters: readonly (readonly [device: string, peer: string, received: number, sent: number])[] = [];
  const run: Run = ({ argv }) => {
    t.deepEqual([...argv], ['wg', 'show', 'all', 'transfer']);
    return Promise.resolve(counters.map((row) => `${row.join('\t')}\n`).join(''));
  };
  const traffic = new Traffic(run, () => now);
  const [west, edge] = [tunnel('west/0#0', 1, 2), { ...tunnel('edge/0#0', 1, 2), peer: other }];
  const busy = async (ms: number, ...[a, b]: readonly [number, number][]): Promise<string> => {
    now += ms;
    counters = [
      ...(a === undefined ? [] : [['ist00', FAR.publicKey, ...a] as const]),
      ...(b === undefined ? [] : [['ist00', other, ...b] as const]),
    ];
    return [...(await traffic.busy([west, edge]))].join();
  };
  t.is(await busy(0, [1e9, 1e9], [0, 0]), '', 'what was before is nobody’s traffic');
  t.is(await busy(1000, [1e9 + 50_000, 1e9], [2000, 3000]), 'west');
  t.is(await busy(1000, [1e9 + 50_000, 1e9], [2000, 90_000]), 'edge', 'in one direction');
  t.is(await busy(10_000, [1e9 + 100_000, 1e9], [20_000, 90_000]), '', 'over so long a time it is little');
  t.is(await busy(1000, [100, 100], [0, 0]), '', 'made anew');
  t.is(await busy(1000, [50_000, 200], [0, 0]), 'west');
  now += 1000;
  counters = [['ist00', FAR.publicKey, 70_000, 200]];
  t.is(
    (await traffic.busy([{ ...west, mtu: 8941 }])).size,
    0,
    'two probes of full size are more on such a path',
  );
  t.is(await busy(1000), '', 'gone');
  t.is(await busy(1000, [1e6, 1e6]), '', 'and back: nobody knows since when');
});
