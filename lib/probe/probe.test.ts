// The codec, the seal, and whole exchanges over loopback sockets.

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { MAX_INDEX, PROBE_PORT } from '#lib/constants';
import { PrivateKey, parsePublicKey } from '#lib/wireguard';
import { deviceIndexes } from './devices.ts';
import { ROOMY_BYTES, SILENT, SMALL_BYTES, answerTo, echoOf, encodeProbe, parseProbe } from './message.ts';
import type { Flags, Probe } from './message.ts';
import { Peer } from './peer.ts';
import { Probes } from './probes.ts';
import type { Answer, ProbesOptions, Speech } from './probes.ts';
import { direction, isSealed, probeKey, seal } from './seal.ts';
import { ProbeSockets } from './sockets.ts';

const FIXED = { seed: 4 };
const flags = fc.record<Flags>({
  hears: fc.constantFrom('unknown', 'yes', 'no'),
  impaired: fc.boolean(),
  blocked: fc.boolean(),
  draining: fc.boolean(),
});
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const reach = fc
  .uniqueArray(fc.integer({ min: 0, max: MAX_INDEX }), { maxLength: 200 })
  .map((list) => new Set(list.toSorted((a, b) => a - b)));
const ask: fc.Arbitrary<Probe> = fc.record(
  {
    way: fc.constant('ask' as const),
    kind: fc.constantFrom('tunnel' as const, 'transit' as const, 'link' as const),
    flags,
    nonce: u64,
    sequence: fc.nat({ max: 2 ** 32 - 1 }),
    length: fc.integer({ min: SMALL_BYTES, max: 9000 }),
    heard: u64,
    isNews: fc.constant(true as const),
  },
  { requiredKeys: ['way', 'kind', 'flags', 'nonce', 'sequence', 'length', 'heard'] },
);

test('parseProbe() reads what encodeProbe() wrote, and an ask is as long as it says', (t) => {
  fc.assert(
    fc.property(ask, (probe) => {
      const bytes = encodeProbe(probe);
      t.is(bytes.length, probe.length);
      t.deepEqual(parseProbe(bytes), probe);
    }),
    FIXED,
  );
});

test('answerTo() repeats the ask, is never longer than it, and tells of clusters only on a link with room', (t) => {
  fc.assert(
    fc.property(ask, flags, fc.option(reach, { nil: undefined }), (asked, says, clusters) => {
      const answer = answerTo(asked, says, clusters);
      const bytes = encodeProbe(answer);
      t.true(bytes.length <= asked.length);
      const read = parseProbe(bytes);
      t.deepEqual(read, answer);
      if (typeof read === 'string') return;
      t.deepEqual(
        [read.nonce, read.sequence, read.length, read.kind],
        [asked.nonce, asked.sequence, asked.length, asked.kind],
      );
      if (asked.kind !== 'link') t.is(read.reach, undefined);
      else if (asked.length >= ROOMY_BYTES) t.deepEqual(read.reach, clusters);
    }),
    FIXED,
  );
});

test('parseProbe() takes nothing that is cut off, stretched, of another version, or no probe', (t) => {
  fc.assert(
    fc.property(ask, fc.nat({ max: 60 }), (probe, by) => {
      const bytes = encodeProbe(probe);
      t.is(parseProbe(bytes.subarray(0, bytes.length - 1 - by)), 'malformed');
      t.is(parseProbe(Buffer.concat([bytes, Buffer.alloc(by + 1)])), 'malformed');
      const answer = encodeProbe(answerTo(probe, SILENT));
      t.is(parseProbe(answer.subarray(0, answer.length - 1)), 'malformed');
      t.is(parseProbe(Buffer.concat([answer, Buffer.alloc(by + 1)])), 'malformed');
      bytes.writeUInt8(1, 4);
      t.is(parseProbe(bytes), 'version');
    }),
    FIXED,
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      t.is(parseProbe(Buffer.from(bytes)), 'malformed');
    }),
    FIXED,
  );
  const first = Buffer.from('4953545001010000000102030405060708', 'hex').subarray(0, 16);
  t.is(parseProbe(first), 'version', 'the first version, of 16 bytes');
});

test('parseProbe() survives any damage, and damage to what is sealed breaks the seal', (t) => {
  const key = probeKey({ own: PrivateKey.generate(), peer: PrivateKey.generate().publicKey }, ENDS);
  const along = direction(ENDS.local, ENDS.remote);
  fc.assert(
    fc.property(
      ask,
      fc.nat({ max: SMALL_BYTES - 1 }),
      fc.integer({ min: 1, max: 255 }),
      (probe, at, mask) => {
        const bytes = encodeProbe(probe);
        seal(bytes, key, along);
        t.true(isSealed(bytes, key, along));
        bytes[at] = (bytes[at] ?? 0) ^ mask;
        parseProbe(bytes);
        t.false(isSealed(bytes, key, along));
      },
    ),
    FIXED,
  );
});

test('echoOf() makes an answer out of an ask, seal and all, that is no longer than it', (t) => {
  fc.assert(
    fc.property(ask, (probe) => {
      const asked = encodeProbe({ ...probe, kind: 'transit' });
      asked.fill(7, 32, 48);
      const answer = echoOf(asked);
      t.deepEqual(parseProbe(answer), { ...probe, kind: 'transit', way: 'answer' });
      t.deepEqual(answer.subarray(32), asked.subarray(32, 48));
    }),
    FIXED,
  );
});

const ENDS = { local: 'fdfa::1', remote: 'fdfa::2' };
const [EAST, WEST, EDGE] = [PrivateKey.generate(), PrivateKey.generate(), PrivateKey.generate()];

test('probeKey() is the same at both ends, another for other addresses and peers, and does not print', (t) => {
  const key = probeKey({ own: EAST, peer: WEST.publicKey }, ENDS);
  const far = probeKey({ own: WEST, peer: EAST.publicKey }, { local: ENDS.remote, remote: ENDS.local });
  t.true(key.equals(far));
  t.false(key.equals(probeKey({ own: EAST, peer: WEST.publicKey }, { ...ENDS, remote: 'fdfa::3' })));
  t.false(key.equals(probeKey({ own: EAST, peer: EDGE.publicKey }, ENDS)));
  const text = inspect({ key }, { depth: 9, showHidden: true }) + JSON.stringify({ key });
  t.false(text.includes(key.export().toString('hex').slice(0, 8)));
  t.false(text.includes(key.export().toString('base64').slice(0, 8)));
});

test('seal() holds for one direction only', (t) => {
  const key = probeKey({ own: EAST, peer: WEST.publicKey }, ENDS);
  const bytes = Buffer.alloc(SMALL_BYTES);
  seal(bytes, key, direction(ENDS.local, ENDS.remote));
  t.true(isSealed(bytes, key, direction(ENDS.local, ENDS.remote)));
  t.false(isSealed(bytes, key, direction(ENDS.remote, ENDS.local)));
});

// ── What an ask proves ───────────────────────────────────────────────────────────────────────────────────────────

function said(nonce: bigint, sequence: number, heard: bigint): Probe {
  return { way: 'ask', kind: 'tunnel', flags: SILENT, nonce, sequence, length: SMALL_BYTES, heard };
}

test('Peer.hears() believes an ask that shows a nonce of ours, once, and a later one', (t) => {
  const peer = new Peer({ id: 1, ends: [ENDS] });
  t.is(peer.hears(said(90n, 1, 0n), 0), 'unproven');
  t.is(peer.heard, 90n, 'a stranger is heard');
  peer.asks(11n);
  peer.asks(12n);
  t.is(peer.hears(said(91n, 5, 11n), 10), 'fresh');
  t.is(peer.heard, 91n);
  for (const again of [said(91n, 5, 11n), said(89n, 4, 11n)]) t.is(peer.hears(again, 20), 'stale');
  t.is(peer.hears(said(92n, 6, 11n), 30), 'fresh');
  t.is(peer.hears(said(93n, 1, 12n), 40), 'fresh', 'restarted, and it has heard us since');
  t.is(peer.hears(said(94n, 7, 11n), 50), 'stale');
  t.is(peer.hears(said(95n, 1, 777n), 60), 'unproven');
  t.is(peer.heard, 93n, 'who proves nothing does not displace who does');
  t.is(peer.hears(said(95n, 1, 777n), 9000), 'unproven');
  t.is(peer.heard, 95n, 'unless nobody has proven anything for long');
});

test('Peer.hears() accepts nothing twice, and nothing out of its order, whatever is replayed', (t) => {
  const step = fc.oneof(
    fc.constant('own' as const),
    fc.record({ shows: fc.nat({ max: 40 }), sequence: fc.nat({ max: 9 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const peer = new Peer({ id: 1, ends: [ENDS] });
      const seen = new Set<string>();
      let last = 0;
      let own = 0;
      for (const each of steps) {
        if (each === 'own') {
          own = peer.asks(BigInt(own + 1));
          continue;
        }
        const text = `${each.shows} ${each.sequence}`;
        const isFresh = peer.hears(said(5n, each.sequence, BigInt(each.shows)), 0) === 'fresh';
        if (!isFresh) continue;
        const place = each.shows * 10 + each.sequence;
        t.true(!seen.has(text) && place > last && each.shows <= own && each.shows > own - 32);
        seen.add(text);
        last = place;
      }
    }),
    FIXED,
  );
});

// ── Over sockets ─────────────────────────────────────────────────────────────────────────────────────────────────

interface Heard {
  readonly answers: Answer<string>[];
  readonly told: Flags[];
  refused: number;
}

function open(
  t: ExecutionContext,
  speech: Partial<Speech> = {},
  options: Partial<ProbesOptions<string>> = {},
): { readonly probes: Probes<string>; readonly heard: Heard } {
  const heard: Heard = { answers: [], told: [], refused: 0 };
  const probes = new Probes<string>({
    onAnswer: (answer) => void heard.answers.push(answer),
    onTold: (_, flags) => void heard.told.push(flags),
    onRefused: () => void (heard.refused += 1),
    speak: () => ({ ...SILENT, ...speech }),
    ...options,
  });
  t.teardown(() => probes[Symbol.dispose]());
  return { probes, heard };
}

async function until(isTrue: () => boolean): Promise<boolean> {
  for (let count = 0; count < 300 && !isTrue(); count += 1) await delay(10);
  return isTrue();
}

/** Sockets are bound a moment after they are asked for. */
async function answerOf(
  { probes, heard }: ReturnType<typeof open>,
  ...[id, question]: Parameters<Probes<string>['ask']>
): Promise<Answer<string> | undefined> {
  const before = heard.answers.length;
  for (let count = 0; count < 100 && heard.answers.length === before; count += 1) {
    probes.ask(id, question);
    await delay(20);
  }
  return heard.answers[before];
}

function loopback(net: number): { local: string; remote: string } {
  return { local: `127.8.${net}.1`, remote: `127.8.${net}.2` };
}

function turned({ local, remote }: { local: string; remote: string }): { local: string; remote: string } {
  return { local: remote, remote: local };
}

/** Two gateways and the tunnel between them. */
function pair(
  t: ExecutionContext,
  net: number,
  speech: Partial<Speech> = {},
): { near: ReturnType<typeof open>; far: ReturnType<typeof open> } {
  const ends = loopback(net);
  const [near, far] = [open(t, { hears: 'yes' }), open(t, speech)];
  near.probes.hold([{ id: 'far', ends: [ends], secret: { own: EAST, peer: WEST.publicKey } }]);
  far.probes.hold([{ id: 'near', ends: [turned(ends)], secret: { own: WEST, peer: EAST.publicKey } }]);
  return { near, far };
}

/** A socket that is told what to send, and keeps what it gets. */
async function raw(t: ExecutionContext, address: string): Promise<{ socket: Socket; got: Buffer[] }> {
  const socket = createSocket('udp4');
  const got: Buffer[] = [];
  socket.on('message', (bytes) => void got.push(bytes));
  await new Promise<void>((resolve) => socket.bind(PROBE_PORT, address, resolve));
  t.teardown(() => {
    try {
      socket.close();
    } catch {
      // The test has closed it.
    }
  });
  return { socket, got };
}

test('Probes are answered with what the far end tells of itself, small or full-size', async (t) => {
  const { near, far } = pair(t, 1, { hears: 'no', impaired: true });
  const small = await answerOf(near, 'far', { sequence: 1, kind: 'small' });
  t.deepEqual(small?.flags, { hears: 'no', impaired: true, draining: false, blocked: false });
  t.true((small?.rttMs ?? -1) >= 0 && (small?.rttMs ?? 999) < 200, `${small?.rttMs}`);
  const full = await answerOf(near, 'far', { sequence: 2, kind: 'full', size: 1440 });
  t.deepEqual(full?.question, { sequence: 2, kind: 'full', size: 1440 });
  await answerOf(far, 'near', { sequence: 1, kind: 'small' });
  t.false(near.probes.ask('nobody', { sequence: 1, kind: 'small' }));
});

test('Probes tell a far end’s flags from its asks once it has shown that it hears', async (t) => {
  const { near, far } = pair(t, 2);
  await answerOf(near, 'far', { sequence: 1, kind: 'small' });
  t.deepEqual(far.heard.told, [], 'the first ask proves nothing');
  await answerOf(far, 'near', { sequence: 1, kind: 'small' });
  await answerOf(near, 'far', { sequence: 1, kind: 'small' });
  t.true(await until(() => far.heard.told.length > 0));
  t.deepEqual(far.heard.told[0], { hears: 'yes', impaired: false, draining: false, blocked: false });
});

test('Probes hear of news on links only: on a tunnel an ask tells everything', async (t) => {
  const said: string[] = [];
  const onTold = (id: string, _: Flags, hasNews: boolean): void => void said.push(`${id} ${hasNews}`);
  const [tunnel, link] = [loopback(13), loopback(14)];
  const near = open(t);
  const far = open(t, {}, { onTold });
  near.probes.hold([
    { id: 'tunnel', ends: [tunnel], secret: { own: EAST, peer: WEST.publicKey } },
    { id: 'link', ends: [link] },
  ]);
  far.probes.hold([
    { id: 'tunnel', ends: [turned(tunnel)], secret: { own: WEST, peer: EAST.publicKey } },
    { id: 'link', ends: [turned(link)] },
  ]);
  // What an ask on a tunnel says is believed once it shows that it has heard one.
  await answerOf(far, 'tunnel', { sequence: 1, kind: 'small' });
  for (const id of ['tunnel', 'link']) await answerOf(near, id, { sequence: 1, kind: 'small', isNews: true });
  t.true(await until(() => said.includes('tunnel false') && said.includes('link true')));
  t.false(said.includes('tunnel true'));
});

test('Probes ask through a far gateway, and a responder without keys echoes', async (t) => {
  const ends = loopback(3);
  const worker = open(t);
  worker.probes.hold([], new Set(['127.8.3.9']));
  const near = open(t);
  near.probes.hold([{ id: 'far', ends: [ends], secret: { own: EAST, peer: WEST.publicKey } }]);
  const answer = await answerOf(near, 'far', { sequence: 3, kind: 'transit', to: '127.8.3.9' });
  t.deepEqual(answer?.question, { sequence: 3, kind: 'transit', to: '127.8.3.9' });
  t.is(answer?.flags, undefined, 'who has no key tells nothing');
  t.false(near.probes.ask('far', { sequence: 3, kind: 'transit', to: 'fdfa::9' }), 'no way of that family');
});

test('Probes on a link need no key, and tell which clusters a gateway reaches', async (t) => {
  const ends = loopback(4);
  const [worker, gateway] = [
    open(t, { hears: 'yes' }),
    open(t, { draining: true, reach: new Set([2, 1023]) }),
  ];
  worker.probes.hold([{ id: 'gw-0', ends: [ends] }]);
  gateway.probes.hold([{ id: 'worker-1', ends: [turned(ends)] }]);
  const answer = await answerOf(worker, 'gw-0', { sequence: 1, kind: 'small' });
  t.deepEqual(answer?.reach, new Set([2, 1023]));
  t.true(answer?.flags?.draining);
  t.is(gateway.heard.told[0]?.hears, 'yes');
  t.false(worker.probes.ask('gw-0', { sequence: 3, kind: 'transit', to: ends.remote }));
});

/** What the first datagram asks that a far end without a mind of its own gets. */
async function firstAsk(
  { probes }: ReturnType<typeof open>,
  id: string,
  got: readonly Buffer[],
): Promise<{ bytes: Buffer; asked: Probe }> {
  for (let count = 0; count < 100 && got.length === 0; count += 1) {
    probes.ask(id, { sequence: 1, kind: 'small' });
    await delay(10);
  }
  const [bytes = Buffer.alloc(0)] = got;
  const asked = parseProbe(bytes);
  if (typeof asked === 'string') throw new TypeError(asked);
  return { bytes, asked };
}

test('Probes believe no answer that is forged, replayed, invented, or of another kind', async (t) => {
  const ends = loopback(5);
  const { socket, got } = await raw(t, ends.remote);
  const near = open(t);
  near.probes.hold([{ id: 'far', ends: [ends], secret: { own: EAST, peer: WEST.publicKey } }]);
  const { bytes: ask, asked } = await firstAsk(near, 'far', got);
  const own = probeKey({ own: WEST, peer: EAST.publicKey }, turned(ends));
  const others = probeKey({ own: EDGE, peer: EAST.publicKey }, turned(ends));
  const [inward, outward] = [direction(ends.remote, ends.local), direction(ends.local, ends.remote)];
  const sealed = (probe: Probe, key = own, along = inward): Buffer => {
    const bytes = encodeProbe(probe);
    seal(bytes, key, along);
    return bytes;
  };
  const answer = answerTo(asked, { hears: 'no', impaired: true, draining: true, blocked: false });
  const bad = [
    sealed(answer, others),
    sealed(answer, own, outward),
    // Our own ask, sent back to us.
    ask,
    sealed({ ...answer, nonce: answer.nonce ^ 1n }),
    sealed({ ...answer, sequence: answer.sequence + 1 }),
    sealed({ ...answer, kind: 'transit' }),
    sealed({ ...answer, length: 4000 }),
    Buffer.from('hello'),
    Buffer.from('49535450010100000000000000000000', 'hex'),
  ];
  for (const bytes of bad) socket.send(bytes, PROBE_PORT, ends.local);
  t.true(await until(() => (near.probes.ignored().get('version') ?? 0) > 0));
  t.deepEqual([near.heard.answers, near.heard.told], [[], []]);
  const good = sealed(answer);
  for (const bytes of [good, good]) socket.send(bytes, PROBE_PORT, ends.local);
  t.true(await until(() => near.probes.ignored().get('unasked') === 5));
  t.is(near.heard.answers.length, 1);
  t.deepEqual(Object.fromEntries(near.probes.ignored()), { forged: 3, unasked: 5, malformed: 1, version: 1 });
});

test('Probes answer no stranger, answer a replayed ask with no more than it, and do not believe it', async (t) => {
  const ends = loopback(6);
  const far = open(t, { hears: 'yes' });
  far.probes.hold([{ id: 'near', ends: [turned(ends)], secret: { own: WEST, peer: EAST.publicKey } }]);
  const { socket, got } = await raw(t, ends.local);
  const stranger = await raw(t, '127.8.6.9');
  const { asked } = await firstAsk(far, 'near', got);
  const no = encodeProbe({ ...said(5n, 3, asked.nonce), flags: { ...SILENT, hears: 'no' } });
  seal(no, probeKey({ own: EAST, peer: WEST.publicKey }, ends), direction(ends.local, ends.remote));
  for (let count = 0; count < 3; count += 1) socket.send(no, PROBE_PORT, ends.remote);
  stranger.socket.send(no, PROBE_PORT, ends.remote);
  t.true(await until(() => far.probes.ignored().has('stranger') && far.probes.ignored().get('stale') === 2));
  t.deepEqual(
    far.heard.told.map(({ hears }) => hears),
    ['no'],
  );
  t.deepEqual(stranger.got, []);
  t.true(got.every((bytes) => bytes.length <= no.length));
});

test('Probes of a tunnel whose key is of small order are never sent nor believed', (t) => {
  const one = Buffer.alloc(32);
  one[0] = 1;
  const { probes } = open(t);
  const secret = { own: EAST, peer: parsePublicKey(one.toString('base64')) };
  probes.hold([{ id: 'far', ends: [loopback(7)], secret }]);
  t.false(probes.ask('far', { sequence: 1, kind: 'small' }));
});

test('Probes.attend() hears a far kernel refuse, whether its daemon is stopped or hung, until the daemon answers', async (t) => {
  const ends = loopback(8);
  const near = open(t);
  const secret = { own: EAST, peer: WEST.publicKey };
  near.probes.hold([{ id: 'far', ends: [ends], secret }]);
  await delay(50);
  near.probes.ask('far', { sequence: 1, kind: 'small' });
  await delay(50);
  t.is(near.heard.refused, 0, 'nobody has knocked');
  near.probes.attend('far', true);
  near.probes.ask('far', { sequence: 1, kind: 'small' });
  t.true(await until(() => near.heard.refused > 0), 'stopped');
  const hung = createSocket('udp4');
  await new Promise<void>((resolve) => hung.bind(PROBE_PORT, ends.remote, resolve));
  near.heard.refused = 0;
  near.probes.ask('far', { sequence: 1, kind: 'small' });
  t.true(await until(() => near.heard.refused > 0), 'hung');
  await new Promise<void>((resolve) => hung.close(() => resolve()));
  const far = open(t);
  far.probes.hold([{ id: 'near', ends: [turned(ends)], secret: { own: WEST, peer: EAST.publicKey } }]);
  t.truthy(await answerOf(near, 'far', { sequence: 1, kind: 'small' }));
  near.heard.refused = 0;
  near.probes.ask('far', { sequence: 1, kind: 'small' });
  await delay(50);
  t.is(near.heard.refused, 0, 'an answer ends it');
});

test('Probes.hold() forgets a far end with another key or address, and keeps one that is the same', async (t) => {
  const { near } = pair(t, 9);
  const secret = { own: EAST, peer: WEST.publicKey };
  t.truthy(await answerOf(near, 'far', { sequence: 1, kind: 'small' }));
  const holds = async (...peers: Parameters<Probes<string>['hold']>[0]): Promise<boolean> => {
    const before = near.heard.answers.length;
    near.probes.ask('far', { sequence: 1, kind: 'small' });
    near.probes.hold(peers);
    await delay(50);
    return near.heard.answers.length > before;
  };
  const same = { id: 'far', ends: [loopback(9)], secret };
  t.true(await holds({ ...same, ends: [loopback(9)], secret: { ...secret } }));
  t.false(await holds({ ...same, secret: { own: EAST, peer: EDGE.publicKey } }));
  t.false(await holds(same), 'of the former key');
  t.true(await holds(same));
  t.false(await holds({ ...same, ends: [loopback(10)] }));
  t.false(await holds());
  t.false(near.probes.ask('far', { sequence: 1, kind: 'small' }));
});

test('ProbeSockets says why an address cannot be had, and tries it once a second', async (t) => {
  await raw(t, '127.8.11.1');
  const sockets = new ProbeSockets(() => t.fail());
  const addresses = new Set(['127.8.11.1']);
  for (let now = 0; now <= 2000; now += 100) {
    sockets.sync(addresses, now);
    await delay(2);
    t.is(sockets.refused().size, now < 2000 ? 0 : 1, `${now}`);
  }
  t.regex(sockets.refused().get('127.8.11.1') ?? '', /EADDRINUSE/);
  sockets.close();
  t.is(sockets.refused().size, 0);
});

test('ProbeSockets keeps a socket whose host refuses to send', async (t) => {
  const { got } = await raw(t, '127.8.12.2');
  const sockets = new ProbeSockets(() => {});
  t.teardown(() => sockets.close());
  sockets.sync(new Set(['127.8.12.1']), 0);
  await delay(20);
  // No packet leaves the host from there.
  sockets.send('127.8.12.1', '192.0.2.1', Buffer.from('lost'));
  await delay(20);
  sockets.send('127.8.12.1', '127.8.12.2', Buffer.from('sent'));
  t.true(await until(() => got.length > 0));
  t.deepEqual(got.map(String), ['sent']);
});

/** What the kernel calls the socket that stands on the probes' port of `::1`. */
function inode(): string | undefined {
  const port = PROBE_PORT.toString(16).toUpperCase().padStart(4, '0');
  const lines = readFileSync('/proc/self/net/udp6', 'utf8').split('\n');
  const line = lines.find((each) => each.includes(` 00000000000000000000000001000000:${port} `));
  return line?.trim().split(/ +/)[9];
}

test('ProbeSockets opens a socket anew on a device that was made anew, and looks at devices only for such addresses', async (t) => {
  let devices = new Map([['lo', 1]]);
  let looks = 0;
  const sockets = new ProbeSockets(
    () => {},
    () => {
      looks += 1;
      return devices;
    },
  );
  t.teardown(() => sockets.close());
  sockets.sync(new Set(['127.8.15.1']), 0);
  t.is(looks, 0);
  const scoped = new Set(['::1%lo']);
  const seen: (string | undefined)[] = [];
  for (const index of [1, 1, undefined, 7, 7]) {
    devices = new Map(index === undefined ? [] : [['lo', index]]);
    sockets.sync(scoped, 0);
    await delay(20);
    seen.push(inode());
  }
  const [first, , , last] = seen;
  t.true(first !== undefined && last !== undefined && first !== last, `${first} ${last}`);
  t.deepEqual(seen, [first, first, first, last, last]);
  t.deepEqual(deviceIndexes().get('lo'), 1);
});
