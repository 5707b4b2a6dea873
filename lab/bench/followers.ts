// How long one record takes to five hundred followers of one broker, beside plain NATS and as many subscribers.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBroker, issueToken, joinClusterset, loadMembership, signRecord, startBroker } from '#broker';
import type { OpenMembership } from '#broker';
import { WIREGUARD_BASE_PORT } from '#lib/constants';
import { parseAddress } from '#lib/ip';
import { openLog } from '#lib/log';
import { PrivateKey } from '#lib/wireguard';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import type { NatsConnection } from '@nats-io/transport-node';
import { atMost, ratioRow } from './benchmark.ts';
import type { BenchContext, Benchmark, Row } from './benchmark.ts';
import { p99, Side, SPEAKER, SUBJECT } from './broadcast.ts';
import type { SideOptions, Taken } from './broadcast.ts';

const FOLLOWERS = 500;
const ROUNDS = 100;
/** Between two publications, of one side and another: until everybody has heard. */
const PAUSE_MS = { receivers: 250, members: 600 };
/** For which nothing is published, and what it takes all the same is measured. */
const CALM_MS = 15_000;
const JOINS_AT_ONCE = 4;

export const followersBenchmark: Benchmark = {
  id: 'followers',
  what: `one record → ${FOLLOWERS} followers of one broker, ${ROUNDS} times, beside plain NATS`,
  async run(context) {
    await using stack = new AsyncDisposableStack();
    const root = await mkdtemp(path.join(os.tmpdir(), 'isthmus-followers-'));
    stack.defer(() => rm(root, { recursive: true, force: true }));
    const dir = path.join(root, 'broker');
    const port = await freePort();
    await createBroker({ dir, advertise: ['127.0.0.1'], host: '127.0.0.1', port });
    const log = openLog({ component: 'bench', level: 'error' });
    const broker = stack.use(await startBroker({ dir, log }));
    context.say(`${FOLLOWERS} clusters join`);
    await joinAll(root, dir);
    const speaker = await loadMembership(path.join(root, 'secrets-speaker'));
    const common = { root, rounds: ROUNDS, account: speaker.own.account, listeners: FOLLOWERS };
    const record = stack.use(await recordPublisher(speaker));
    const server = broker.pid ?? 0;
    const ours = { ...common, servers: [], server, publish: (round: number) => record.publish(round) };
    const files = { cert: path.join(dir, 'nats', 'server.crt'), key: path.join(dir, 'nats', 'server.key') };
    const bytes = record.bytes(1).length;
    const open = stack.use(await plainNats({ bytes }));
    const sealed = stack.use(await plainNats({ bytes, tls: { ...files, ca: speaker.ca } }));
    const plain = { ...common, kind: 'plain' as const, ...open.side };
    const secret = { ...common, kind: 'plain' as const, ...sealed.side };
    const first = await measure(context, PAUSE_MS.receivers, [{ ...ours, kind: 'receivers' }, plain, secret]);
    // Members wait until they know of it.
    await record.publish(0);
    const second = await measure(context, PAUSE_MS.members, [{ ...ours, kind: 'members' }, plain]);
    return [...rows('have it', first), ...rows('believe it', second)];
  },
};

function rows(what: string, [ours, ...references]: readonly Taken[]): readonly Row[] {
  if (ours === undefined) return [];
  const common = { unit: 'ms', target: atMost(1.5) };
  return references.flatMap((reference, at) => {
    const referenceIs = at === 0 ? 'plain NATS' : 'plain NATS, TLS';
    return [
      ratioRow({
        ...common,
        what: `record → ${FOLLOWERS} followers ${what}, p99`,
        value: p99(ours),
        reference: p99(reference),
        referenceIs,
      }),
      ratioRow({
        ...common,
        what: `server's CPU for each record, ${FOLLOWERS} ${what}`,
        value: ours.cpuMs,
        reference: reference.cpuMs,
        referenceIs,
      }),
    ];
  });
}

/** All sides in turn, so that whatever else the machine does falls on all alike. */
async function measure(
  { say, signal }: BenchContext,
  pauseMs: number,
  wanted: readonly SideOptions[],
): Promise<readonly Taken[]> {
  using stack = new DisposableStack();
  const sides: Side[] = [];
  for (const options of wanted) {
    say(`${FOLLOWERS} ${options.kind} connect`);
    sides.push(stack.use(await Side.open(options)));
  }
  for (const side of sides) side.listen();
  await sleep(CALM_MS / 3);
  const calm = await spent(sides, async () => await sleep(CALM_MS));
  say('publishing');
  const busy = await spent(sides, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const side of sides) {
        signal.throwIfAborted();
        await side.publish();
        await sleep(pauseMs);
      }
    }
  });
  await sleep(2000);
  return await Promise.all(
    sides.map(async (side, at) => {
      const idle = (calm.cpu[at] ?? 0) / calm.ms;
      return { delays: await side.delays(), cpuMs: ((busy.cpu[at] ?? 0) - idle * busy.ms) / ROUNDS };
    }),
  );
}

async function spent(
  sides: readonly Side[],
  act: () => Promise<void>,
): Promise<{ readonly ms: number; readonly cpu: readonly number[] }> {
  const started = performance.now();
  const before = await Promise.all(sides.map((side) => side.cpu()));
  await act();
  const after = await Promise.all(sides.map((side) => side.cpu()));
  return { ms: performance.now() - started, cpu: after.map((cpu, at) => cpu - (before[at] ?? 0)) };
}

async function joinAll(root: string, dir: string): Promise<void> {
  const names = ['speaker', ...Array.from({ length: FOLLOWERS }, (_, at) => String(at))];
  const join = async (name: string, at: number): Promise<void> => {
    const cluster = name === 'speaker' ? SPEAKER : `follower-${name}`;
    const podCidrs = [`10.${at >> 8}.${at & 255}.0/24`];
    const { token } = await issueToken({ dir, cluster, podCidrs, ttlSeconds: 600 });
    await joinClusterset({ token, secretsDir: path.join(root, `secrets-${name}`), hostNetworks: [] });
  };
  for (let at = 0; at < names.length; at += JOINS_AT_ONCE) {
    await Promise.all(names.slice(at, at + JOINS_AT_ONCE).map((name, next) => join(name, at + next)));
  }
}

interface RecordPublisher extends AsyncDisposable {
  bytes(round: number): Uint8Array;
  publish(round: number): Promise<void>;
}

/** Signs and puts one gateway's record, and nothing else; a member keeps it listed as well, which is a second record. */
async function recordPublisher({
  urls,
  ca,
  credentials,
  ...member
}: OpenMembership): Promise<RecordPublisher> {
  const authenticator = credsAuthenticator(Buffer.from(credentials));
  const connection = await connect({ servers: [...urls], tls: { ca }, authenticator });
  const { pinned, own, identity } = member;
  const { cluster, account } = own;
  const keys = [PrivateKey.generate().publicKey];
  const epoch = Date.now();
  let version = 0;
  const bytes = (round: number): Uint8Array => {
    const endpoint = { addresses: [parseAddress('192.0.2.1')], port: WIREGUARD_BASE_PORT + round };
    const content = { ordinal: 0, keys, endpoint, cidrs: own.podCidrs, reads: [1, 1] };
    const place = {
      clusterset: pinned.clusterset,
      cluster,
      account,
      kind: 'gateway',
      slot: 'gw.0',
      schema: 1,
    };
    version += 1;
    return signRecord({ ...place, epoch, version, content }, identity, new Date());
  };
  return {
    bytes,
    publish: async (round) => void (await connection.request('put.gw.0', bytes(round))),
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

interface PlainNats extends AsyncDisposable {
  readonly side: Pick<SideOptions, 'servers' | 'ca' | 'server' | 'publish'>;
}

/** A server as it is without a configuration, and one who publishes as many bytes there. */
async function plainNats({
  bytes,
  tls,
}: {
  readonly bytes: number;
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string };
}): Promise<PlainNats> {
  await using stack = new AsyncDisposableStack();
  const port = String(await freePort());
  const secured = tls === undefined ? [] : ['--tls', '--tlscert', tls.cert, '--tlskey', tls.key];
  const child = spawn('nats-server', ['-a', '127.0.0.1', '-p', port, ...secured], { stdio: 'ignore' });
  stack.defer(() => void child.kill('SIGKILL'));
  const servers = [`127.0.0.1:${port}`];
  const ca = tls === undefined ? {} : { ca: tls.ca };
  const connection: NatsConnection = await connect({
    servers,
    waitOnFirstConnect: true,
    reconnectTimeWait: 100,
    ...(tls && { tls: { ca: tls.ca } }),
  });
  stack.defer(() => connection.close());
  const payload = Buffer.alloc(bytes, 'x');
  const publish = async (): Promise<void> => {
    connection.publish(`${SUBJECT}.gw.0`, payload);
    await connection.flush();
  };
  const owned = stack.move();
  const side = { servers, ...ca, server: child.pid ?? 0, publish };
  return { side, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('Cannot find a free port');
  return address.port;
}
