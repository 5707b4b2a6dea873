import { cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import * as fc from 'fast-check';
import * as v from 'valibot';
import { parseAddress, parseCidr } from '#lib/ip';
import { openLog } from '#lib/log';
import { parsePublicKey } from '#lib/wireguard';
import { issueToken, listMembers, revokeMember } from '../agent/manage.ts';
import { joinClusterset } from '../join/join.ts';
import { MANIFEST, MANIFEST_LIMIT } from '../records/manifest.ts';
import { createBroker } from '../server/create.ts';
import type { Broker } from '../server/start.ts';
import { startBroker } from '../server/start.ts';
import { openRecord, recordContent, signRecord } from '../trust/record.ts';
import type { RefusalCode } from '../trust/refusal.ts';
import type { ClustersetView, GatewayView } from '../view.ts';
import { openCounters } from './counters.ts';
import { authenticatorOf } from './credentials.ts';
import { Cursor } from './cursor.ts';
import { dial } from './link.ts';
import type { Member } from './member.ts';
import { openMember } from './member.ts';
import { loadMembership } from './membership.ts';
import { Pace } from './pace.ts';
import { Patience } from './patience.ts';
import { Refusals } from './refusals.ts';
import { loadFrames, Store } from './store.ts';

const SEED = 73;
const log = openLog({ component: 'test', destination: { write: () => undefined } });

/** Of one host. */
type Clock = () => Date;

/** A real broker on a free port, and clusters that join it. */
class Bed {
  readonly dir: string;
  readonly #port: number;
  #broker: Broker | undefined;

  constructor(dir: string, port: number) {
    this.dir = dir;
    this.#port = port;
  }

  get brokerDir(): string {
    return join(this.dir, 'broker');
  }

  /** JetStream's files. */
  get store(): string {
    return join(this.dir, 'broker', 'nats', 'store');
  }

  get pid(): number {
    return this.#broker?.pid ?? 0;
  }

  async create(): Promise<void> {
    await createBroker({
      dir: this.brokerDir,
      advertise: ['127.0.0.1'],
      host: '127.0.0.1',
      port: this.#port,
    });
    await this.start();
  }

  async start(): Promise<void> {
    this.#broker = await startBroker({ dir: this.brokerDir, log });
  }

  async stop(): Promise<void> {
    await this.#broker?.[Symbol.asyncDispose]();
    this.#broker = undefined;
  }

  /** Joins `10.<index>.0.0/16` and opens the membership. */
  async join(t: ExecutionContext, cluster: string, index: number, now?: Clock): Promise<Watched> {
    const podCidrs = [parseCidr(`10.${index}.0.0/16`)];
    const { token } = await issueToken({
      dir: this.brokerDir,
      cluster,
      podCidrs,
      serviceCidrs: [],
      ttlSeconds: 7200,
    });
    const secretsDir = join(this.dir, cluster, 'secrets');
    await joinClusterset({ token, secretsDir, hostNetworks: [], ...(now && { now }) });
    return this.open(t, cluster, { now });
  }

  /** Opens the membership of a cluster on a host of it. */
  async open(
    t: ExecutionContext,
    cluster: string,
    { host = 'gw-0', now }: { readonly host?: string; readonly now?: Clock | undefined } = {},
  ): Promise<Watched> {
    const stop = new AbortController();
    const member = await openMember({
      secrets: join(this.dir, cluster, 'secrets'),
      state: join(this.dir, cluster, host),
      signal: stop.signal,
      log,
      ...(now && { now }),
    });
    const watched = new Watched(member, stop);
    t.teardown(() => watched.close());
    return watched;
  }
}

/** A member, and every view that it has ever given. */
class Watched {
  readonly member: Member;
  readonly views: ClustersetView[] = [];
  readonly #stop: AbortController;
  readonly #watching: Promise<void>;

  constructor(member: Member, stop: AbortController) {
    this.member = member;
    this.#stop = stop;
    this.#watching = this.#watch();
  }

  async #watch(): Promise<void> {
    for await (const view of this.member.changes()) this.views.push(view);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
    await this.member[Symbol.asyncDispose]();
  }

  /** Publishes gateway 0 with this port, which is how the tests tell versions apart. */
  publish(port: number, ordinal = 0): Promise<void> {
    return this.member.publishGateway(gateway(port, ordinal));
  }

  /** `west:41001` for each gateway of each member. */
  get sees(): string {
    return shape(this.member.view());
  }

  /** The fewest members and gateways that any view has shown from the given one on. */
  fewest(from: number): number {
    return Math.min(...this.views.slice(from).map((view) => shape(view).split(' ').length));
  }
}

function shape({ members }: ClustersetView): string {
  return members
    .flatMap(({ cluster, gateways }) => [
      cluster,
      ...gateways.map(({ endpoint }) => `${cluster}:${endpoint?.port}`),
    ])
    .join(' ');
}

function gateway(port: number, ordinal: number): GatewayView {
  const key = parsePublicKey(Buffer.alloc(32, `${ordinal} ${port}`).toString('base64'));
  return { ordinal, keys: [key], endpoint: { addresses: [parseAddress('192.0.2.1')], port } };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function newBed(t: ExecutionContext): Promise<Bed> {
  const bed = new Bed(await mkdtemp(join(tmpdir(), 'ist-member-')), await freePort());
  t.teardown(async () => {
    await bed.stop();
    await rm(bed.dir, { recursive: true, force: true });
  });
  await bed.create();
  return bed;
}

/** Waits until it is so; fails with what is so instead. */
async function eventually<T>(t: ExecutionContext, what: () => T, wanted: T, ms = 15_000): Promise<number> {
  const began = performance.now();
  while (what() !== wanted && performance.now() - began < ms) await sleep(10);
  const found = what();
  t.deepEqual(found, wanted);
  if (found !== wanted) throw new Error('the rest of the test would wait for the same');
  return performance.now() - began;
}

/** east, west and edge, each with one gateway, all in step. */
async function threeClusters(
  t: ExecutionContext,
): Promise<{ bed: Bed; east: Watched; west: Watched; edge: Watched }> {
  const bed = await newBed(t);
  const east = await bed.join(t, 'east', 1);
  const west = await bed.join(t, 'west', 2);
  const edge = await bed.join(t, 'edge', 3);
  await Promise.all([east.publish(41_001), west.publish(42_001), edge.publish(43_001)]);
  for (const one of [east, west, edge]) {
    await eventually(t, () => one.sees, 'east east:41001 edge edge:43001 west west:42001');
    await eventually(t, () => one.member.status().own.every(({ acknowledged }) => acknowledged), true);
    await eventually(t, () => one.member.status().synced, true);
  }
  return { bed, east, west, edge };
}

/** After a disturbance: an update of each reaches all, and no view since has missed anything. */
async function converges(
  t: ExecutionContext,
  all: readonly Watched[],
  ports: readonly [number, number, number],
): Promise<void> {
  const wanted = `east east:${ports[0]} edge edge:${ports[2]} west west:${ports[1]}`;
  for (const one of all) await eventually(t, () => one.sees, wanted);
}

test.serial(
  'openMember() shows what others say within milliseconds, and keeps unchanged members as they are',
  async (t) => {
    const { east, west } = await threeClusters(t);
    const before = east.member.view();
    await west.publish(42_002);
    const ms = await eventually(t, () => east.sees, 'east east:41001 edge edge:43001 west west:42002', 2000);
    t.log(`one update: ${Math.round(ms)} ms`);
    const after = east.member.view();
    t.is(after.members[0], before.members[0]);
    t.is(after.members[1], before.members[1]);
    t.not(after.members[2], before.members[2]);
    t.is(east.member.view(), after, 'nothing changed: the same view');
    t.deepEqual(east.member.status().conditions, []);
    t.is(east.member.status().gaps, 0);
  },
);

test.serial('openMember() works from its disk when the broker is gone for its whole life', async (t) => {
  const { bed, east, west, edge } = await threeClusters(t);
  await east.close();
  await bed.stop();
  const credentials = join(bed.dir, 'east/secrets/user.creds');
  const text = await readFile(credentials);
  await writeFile(credentials, '');
  await t.throwsAsync(bed.open(t, 'east'), {
    message: /secrets": .*credentials.*Restore the directory, or /,
  });
  await writeFile(credentials, text);
  const again = await bed.open(t, 'east');
  t.is(again.sees, 'east east:41001 edge edge:43001 west west:42001');
  await again.publish(41_002);
  await eventually(t, () => again.member.status().conditions[0]?.code, 'IST_BROKER_UNREACHABLE', 3000);
  t.false(again.member.status().connected);
  await again.close();
  t.is(again.fewest(0), 6, 'no view has missed anything');
  const third = await bed.open(t, 'east');
  t.is(third.sees, 'east east:41002 edge edge:43001 west west:42001', 'its own word is on disk as well');
  await third.publish(41_002);
  await bed.start();
  await converges(t, [third, west, edge], [41_002, 42_001, 43_001]);
  t.is(third.member.status().own[0]?.contested, 0);
});

test.serial('openMember() asks nobody whose clock is right', async (t) => {
  const HOUR = 3_600_000;
  const off = (ms: number): Clock => {
    return () => new Date(Date.now() + ms);
  };
  const bed = await newBed(t);
  const east = await bed.join(t, 'east', 1, off(HOUR));
  const west = await bed.join(t, 'west', 2, off(-HOUR));
  await Promise.all([east.publish(41_001), west.publish(42_001)]);
  for (const one of [east, west]) await eventually(t, () => one.sees, 'east east:41001 west west:42001');
  await east.close();
  const back = await bed.open(t, 'east', { now: off(-HOUR) });
  await back.publish(41_002);
  await eventually(t, () => west.sees, 'east east:41002 west west:42001');
  const elsewhere = await bed.open(t, 'west', { host: 'gw-9', now: off(HOUR) });
  await eventually(t, () => elsewhere.sees, 'east east:41002 west west:42001');
  for (const one of [back, west, elsewhere]) t.deepEqual(one.member.status().conditions, []);
});

test.serial('openMember() goes on with new credentials and CIDRs when its cluster joins again', async (t) => {
  const { bed, east, west } = await threeClusters(t);
  const podCidrs = ['10.1.0.0/16', '10.11.0.0/16'];
  const { token } = await issueToken({ dir: bed.brokerDir, cluster: 'east', podCidrs, ttlSeconds: 60 });
  await joinClusterset({ token, secretsDir: join(bed.dir, 'east', 'secrets'), hostNetworks: [] });
  await east.publish(41_002);
  await eventually(t, () => west.sees, 'east east:41002 edge edge:43001 west west:42001');
  await eventually(t, () => east.member.status().connected, true);
  t.deepEqual(west.member.view().members[0]?.podCidrs.map(String), podCidrs);
});

test.serial('openMember() misses nothing over a restart of the broker', async (t) => {
  const { bed, east, west, edge } = await threeClusters(t);
  const seen = east.views.length - 1;
  await bed.stop();
  await west.publish(42_002);
  await sleep(300);
  await west.publish(42_003);
  await bed.start();
  await edge.publish(43_002);
  await converges(t, [east, west, edge], [41_001, 42_003, 43_002]);
  t.is(east.fewest(seen), 6);
  t.is(east.member.status().resyncs, 1, 'the stream is the same: it was read once, at first');
});

test.serial('openMember() misses nothing when nats-server is killed with -9', async (t) => {
  const { bed, east, west, edge } = await threeClusters(t);
  const seen = east.views.length - 1;
  process.kill(bed.pid, 'SIGKILL');
  await west.publish(42_002);
  await converges(t, [east, west, edge], [41_001, 42_002, 43_001]);
  t.is(east.fewest(seen), 6);
});

test.serial(
  'openMember() keeps everything when the broker is wiped, and gives it back what it lost',
  async (t) => {
    const { bed, east, west, edge } = await threeClusters(t);
    const seen = east.views.length - 1;
    await bed.stop();
    await rm(bed.store, { recursive: true, force: true });
    await west.publish(42_002);
    await bed.start();
    await converges(t, [east, west, edge], [41_001, 42_002, 43_001]);
    t.is(Math.min(east.fewest(seen), west.fewest(0), edge.fewest(seen)) >= 1, true);
    t.is(east.fewest(seen), 6, 'an empty broker deletes nothing');
    const late = await bed.join(t, 'late', 4);
    await eventually(t, () => late.sees, 'east east:41001 edge edge:43001 late west west:42002');
  },
);

test.serial('openMember() keeps the newer word when the broker comes back as an old copy', async (t) => {
  const { bed, east, west, edge } = await threeClusters(t);
  await bed.stop();
  await cp(bed.store, join(bed.dir, 'copy'), { recursive: true });
  await bed.start();
  await Promise.all([east.publish(41_002), west.publish(42_002), edge.publish(43_002)]);
  await converges(t, [east, west, edge], [41_002, 42_002, 43_002]);
  const seen = east.views.length - 1;
  await bed.stop();
  await rm(bed.store, { recursive: true, force: true });
  await cp(join(bed.dir, 'copy'), bed.store, { recursive: true });
  await bed.start();
  const late = await bed.join(t, 'late', 4);
  await eventually(t, () => late.sees, 'east east:41002 edge edge:43002 late west west:42002');
  await eventually(t, () => east.sees, 'east east:41002 edge edge:43002 late west west:42002');
  const old = east.views.slice(seen).filter((view) => shape(view).includes('001'));
  t.deepEqual(old, [], 'the old copy was never believed');
  t.is(east.fewest(seen), 6);
});

test.serial(
  'openMember() gives back what a broker put back from an old copy has forgotten: who joined, and who was revoked',
  async (t) => {
    const bed = await newBed(t);
    const east = await bed.join(t, 'east', 1);
    const edge = await bed.join(t, 'edge', 3);
    await bed.stop();
    await cp(bed.brokerDir, join(bed.dir, 'copy'), { recursive: true });
    await bed.start();
    const west = await bed.join(t, 'west', 2);
    await Promise.all([east.publish(41_001), west.publish(42_001)]);
    await revokeMember({ dir: bed.brokerDir, cluster: 'edge' });
    for (const one of [east, west]) await eventually(t, () => one.sees, 'east east:41001 west west:42001');
    const seen = [east.views.length - 1, west.views.length - 1] as const;
    await bed.stop();
    await rm(bed.brokerDir, { recursive: true });
    await cp(join(bed.dir, 'copy'), bed.brokerDir, { recursive: true });
    await bed.start();
    await west.publish(42_002);
    const ms = await eventually(t, () => east.sees, 'east east:41001 west west:42002', 30_000);
    t.log(`west is heard again after ${Math.round(ms)} ms, of which the broker did not know`);
    const states = async (): Promise<string> =>
      (await listMembers({ dir: bed.brokerDir })).map(({ cluster, state }) => `${cluster} ${state}`).join();
    for (let left = 100; left > 0 && (await states()).includes('edge member'); left -= 1) await sleep(100);
    t.is(await states(), 'east member,edge held,west member');
    await eventually(t, () => edge.member.status().connected, false);
    for (const [at, one] of [east, west].entries()) {
      t.is(one.fewest(seen[at] ?? 0), 4, 'no view has missed anything');
      await eventually(
        t,
        () =>
          one.member
            .status()
            .conditions.map(({ code }) => code)
            .join(),
        '',
      );
    }
  },
);

test.serial('openMember() notices a broker that hangs, keeps everything, and catches up', async (t) => {
  const { bed, east, west, edge } = await threeClusters(t);
  const seen = east.views.length - 1;
  process.kill(bed.pid, 'SIGSTOP');
  try {
    await west.publish(42_002);
    const ms = await eventually(t, () => east.member.status().connected, false, 10_000);
    t.log(`hung server noticed after ${Math.round(ms)} ms`);
    t.is(east.sees, 'east east:41001 edge edge:43001 west west:42001');
  } finally {
    process.kill(bed.pid, 'SIGCONT');
  }
  await converges(t, [east, west, edge], [41_001, 42_002, 43_001]);
  t.is(east.fewest(seen), 6);
});

test.serial(
  'openMember() drops a revoked member within a second, and keeps it out over restarts and a wipe',
  async (t) => {
    const { bed, east, west, edge } = await threeClusters(t);
    const revoking = revokeMember({ dir: bed.brokerDir, cluster: 'edge', reason: 'stolen' });
    const ms = await eventually(t, () => east.sees, 'east east:41001 west west:42001', 1000);
    await revoking;
    await eventually(t, () => edge.member.status().connected, false, 1000);
    t.log(`revoked member dropped after ${Math.round(ms)} ms`);
    t.deepEqual(
      east.member.view().revoked.map(({ cluster }) => String(cluster)),
      ['edge'],
    );
    await east.close();
    await bed.stop();
    await rm(bed.store, { recursive: true, force: true });
    const again = await bed.open(t, 'east');
    t.is(again.sees, 'east east:41001 west west:42001');
    await bed.start();
    await eventually(t, () => again.member.status().synced, true);
    await eventually(t, () => west.member.status().synced, true);
    t.is(again.sees, 'east east:41001 west west:42001');
  },
);

test.serial(
  'publishGateway() of two gateways lists both in one manifest; withdraw() buries one for good',
  async (t) => {
    const { bed, east, west } = await threeClusters(t);
    const second = await bed.open(t, 'east', { host: 'gw-1' });
    await second.publish(41_101, 1);
    await eventually(t, () => west.sees, 'east east:41001 east:41101 edge edge:43001 west west:42001');
    const account = (await loadMembership(join(bed.dir, 'east', 'secrets'))).own.account;
    const listed = async (): Promise<readonly string[]> => {
      const { frames } = await loadFrames(join(bed.dir, 'west', 'gw-0', 'records'));
      const last = frames.findLast(({ subject }) => subject === `mc.put.${account}.m`);
      const content = last === undefined ? undefined : recordContent(openRecord(last.bytes), MANIFEST_LIMIT);
      const parsed = v.safeParse(MANIFEST, content);
      return parsed.success ? parsed.output.slots.map(({ slot }) => slot) : [];
    };
    const list = async (wanted: string): Promise<void> => {
      for (let left = 300; left > 0 && (await listed()).join() !== wanted; left -= 1) await sleep(10);
      t.is((await listed()).join(), wanted);
    };
    await list('gw.0,gw.1');
    await second.member.withdraw();
    await eventually(t, () => west.sees, 'east east:41001 edge edge:43001 west west:42001', 2000);
    await second.close();
    await bed.stop();
    await bed.start();
    await eventually(t, () => west.member.status().synced, true);
    t.is(west.sees, 'east east:41001 edge edge:43001 west west:42001');
    t.is(east.member.status().own[0]?.acknowledged, true);
  },
);

test.serial(
  'publishGateway() of two hosts with one ordinal is told to the operator and does not race',
  async (t) => {
    const { bed, west } = await threeClusters(t);
    const twin = await bed.open(t, 'east', { host: 'gw-twin' });
    await twin.publish(41_666);
    await sleep(4000);
    const counts = twin.member.status().own[0]?.contested ?? 0;
    t.true(counts < 12, `said anew ${counts} times in four seconds`);
    t.is(west.member.view().members.length, 3);
  },
);

test.serial(
  'openMember() judges little of what a flooding member says, its last word though, and hears the others',
  async (t) => {
    const { bed, east, west, edge } = await threeClusters(t);
    const rogue = await loadMembership(join(bed.dir, 'west', 'secrets'));
    await west.close();
    const connection = await dial(rogue, authenticatorOf(rogue.credentials), () => 100);
    t.teardown(() => connection.close());
    const { cluster, account } = rogue.own;
    const place = {
      clusterset: rogue.pinned.clusterset,
      cluster,
      account,
      kind: 'gateway',
      slot: 'gw.0',
      schema: 1,
    };
    const epoch = Date.now() * 2;
    const before = east.member.status().accepted;
    const times = 3000;
    for (let version = 1; version <= times; version += 1) {
      const content = { ...gateway(50_000 + version, 0), cidrs: [], reads: [1, 1] };
      connection.publish(
        'put.gw.0',
        signRecord({ ...place, epoch, version, content }, rogue.identity, new Date()),
      );
    }
    await connection.flush();
    const ms = await (async () => {
      const began = performance.now();
      await edge.publish(43_002);
      await eventually(t, () => east.sees.includes('edge:43002'), true, 3000);
      return performance.now() - began;
    })();
    await eventually(t, () => east.sees, `east east:41001 edge edge:43002 west west:${50_000 + times}`);
    const judged = east.member.status().accepted - before;
    t.log(`${judged} of ${times} judged; somebody else was heard after ${Math.round(ms)} ms`);
    t.true(judged < 700, `${judged} of ${times}`);
  },
);

test.serial('publishGateway() goes on after its counters are lost', async (t) => {
  const { bed, east, west } = await threeClusters(t);
  await east.close();
  await rm(join(bed.dir, 'east', 'gw-0'), { recursive: true });
  const again = await bed.open(t, 'east');
  await again.publish(41_002);
  await eventually(t, () => west.sees, 'east east:41002 edge edge:43001 west west:42001');
});

test.serial(
  'openMember() starts from a records file whose end is torn, and from one that is no records file',
  async (t) => {
    const { bed, east } = await threeClusters(t);
    await east.close();
    const path = join(bed.dir, 'east', 'gw-0', 'records');
    const { frames, lost } = await loadFrames(path);
    t.is(lost, 0);
    await truncate(path, 4000);
    const torn = await bed.open(t, 'east');
    await eventually(t, () => torn.sees, 'east east:41001 edge edge:43001 west west:42001');
    await torn.close();
    t.is((await loadFrames(path)).lost, 0, 'written whole again');
    t.true(frames.length > 0);
    await writeFile(path, 'not ours');
    const other = await bed.open(t, 'east');
    t.true(other.sees.startsWith('east'));
    await eventually(t, () => other.sees, 'east east:41001 edge edge:43001 west west:42001');
  },
);

test('openMember() says what to do when there is no membership', async (t) => {
  const signal = new AbortController().signal;
  const error = await t.throwsAsync(
    openMember({ secrets: '/nonexistent', state: '/nonexistent', signal, log }),
  );
  t.regex(error.message, /"\/nonexistent\/membership\.json" does not exist\. Join first: clusterctl join/);
});

test('Store keeps what memory holds when the disk refuses, and writes it when it accepts again', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'ist-store-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'gone', 'records');
  const live = new Map<string, Uint8Array>();
  const problems: (string | undefined)[] = [];
  await using store = new Store({
    path,
    live: () => Array.from(live, ([subject, bytes]) => ({ subject, bytes })),
    retryMs: 20,
    onProblem: (problem) => problems.push(problem),
  });
  const keep = (subject: string, text: string): void => {
    live.set(subject, Buffer.from(text));
    store.append({ subject, bytes: Buffer.from(text) });
  };
  keep('a', '1');
  await store.flush();
  t.regex(store.problem ?? '', /ENOENT/);
  keep('b', '2');
  await rm(join(dir, 'gone'), { recursive: true, force: true });
  await mkdir(join(dir, 'gone'));
  await eventually(t, () => store.problem, undefined, 2000);
  keep('c', '3');
  await store.flush();
  const { frames, lost } = await loadFrames(path);
  t.deepEqual(
    frames.map(({ subject, bytes }) => `${subject}${Buffer.from(bytes).toString()}`),
    ['a1', 'b2', 'c3'],
  );
  t.is(lost, 0);
  t.is(problems.length, 2);
});

test('loadFrames() gives back whole frames of any damaged file, and never throws', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'ist-store-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'records');
  const frames = Array.from({ length: 5 }, (_, at) => ({
    subject: `s${at}`,
    bytes: Buffer.alloc(50 + at, at),
  }));
  await using store = new Store({ path, live: () => frames });
  frames.slice(0, 1).forEach((frame) => store.append(frame));
  await store.flush();
  const whole = await readFile(path);
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), async (at, value, cut) => {
      const bytes = Uint8Array.from(whole.subarray(0, cut));
      if (at < bytes.length) bytes[at] = value;
      await writeFile(path, bytes);
      const loaded = await loadFrames(path);
      t.true(
        loaded.frames.every((frame, nth) => frame.subject === `s${nth}` && frame.bytes.length === 50 + nth),
      );
    }),
    { seed: SEED, numRuns: 200 },
  );
});

test('openCounters() goes on where it stopped, and begins a higher epoch when it cannot know', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'ist-counters-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'counters.json');
  const open = (at: number) => openCounters(path, () => new Date(at));
  const first = await open(1000);
  t.deepEqual(await first.next('gw.0', undefined), { epoch: 1000, version: 1 });
  t.deepEqual(await first.next('gw.0', undefined), { epoch: 1000, version: 2 });
  const second = await open(500);
  t.deepEqual(
    await second.next('gw.0', { epoch: 1000, version: 2 }),
    { epoch: 1000, version: 3 },
    'the clock went back',
  );
  t.deepEqual(
    await second.next('gw.0', { epoch: 1000, version: 9 }),
    { epoch: 1001, version: 1 },
    'the disk went back',
  );
  t.deepEqual(await second.nextShared('m', { epoch: 7, version: 4 }), { epoch: 7, version: 5 });
  await writeFile(path, '{"gw.0":');
  const third = await open(900);
  t.deepEqual(
    await third.next('gw.0', { epoch: 2000, version: 5 }),
    { epoch: 2001, version: 1 },
    'the disk is lost',
  );
});

test('Cursor tells a gap from a step back, and a restart from an old copy', (t) => {
  const cursor = new Cursor({ sequence: 10, created: 'a', session: 's1' });
  t.is(cursor.start, 11);
  cursor.update(14);
  cursor.caughtUp(11, 13);
  t.false(cursor.isBehind);
  t.is(cursor.state.sequence, 14);
  cursor.update(15);
  cursor.update(18);
  t.true(cursor.isBehind, 'a gap');
  t.is(cursor.start, 16);
  cursor.caughtUp(16, 16);
  t.true(cursor.isBehind, 'still one: 17 was not read, and 18 came before the reading');
  cursor.caughtUp(17, 18);
  t.false(cursor.isBehind);
  cursor.disconnected();
  cursor.caughtUp(19, 20);
  const beacon = { time: 1, created: 'a', head: 20, directory: '' };
  cursor.identify({ ...beacon, session: 's2', sessionHead: 19 });
  t.false(cursor.isBehind, 'a restart that lost nothing');
  cursor.disconnected();
  cursor.caughtUp(21, 30);
  cursor.identify({ ...beacon, session: 's3', sessionHead: 12 });
  t.is(cursor.start, 1, 'an old copy that has grown since');
  cursor.caughtUp(1, 25);
  t.is(cursor.state.sequence, 25);
  cursor.update(3);
  t.is(cursor.start, 1, 'a step back');
  cursor.caughtUp(1, 3);
  cursor.identify({ ...beacon, created: 'b', session: 's4', sessionHead: 99 });
  t.is(cursor.start, 1, 'another stream');
});

test('Pace.take() lets a burst through, then holds the newest of each subject until its turn comes', (t) => {
  let now = 0;
  const pace = new Pace({ perSecond: 10, burst: 2, now: () => now });
  const bytes = (text: string): Uint8Array => Buffer.from(text);
  const due = (): string =>
    Array.from(pace.due(), ([subject, held]) => `${subject}=${Buffer.from(held).toString()}`).join();
  t.true(pace.take('A', 'a.1', bytes('1')));
  t.true(pace.take('A', 'a.1', bytes('2')));
  t.false(pace.isHolding);
  for (const text of ['3', '4', '5']) t.false(pace.take('A', 'a.1', bytes(text)));
  t.false(pace.take('A', 'a.2', bytes('6')));
  t.true(pace.take('B', 'b.1', bytes('7')), 'one account costs no other');
  t.is(due(), '');
  now = 100;
  t.is(due(), 'a.1=5', 'the newest, and the subject that waits longest');
  t.true(pace.isHolding);
  now = 200;
  t.false(pace.take('A', 'a.1', bytes('8')), 'nothing overtakes what is held');
  t.is(due(), 'a.2=6');
  now = 1000;
  t.is(due(), 'a.1=8');
  t.false(pace.isHolding);
  t.true(pace.take('A', 'a.1', bytes('9')));
});

test('Pace.take() remembers no more accounts and subjects than a clusterset has, whatever a broker invents', (t) => {
  let now = 0;
  const pace = new Pace({ perSecond: 10, burst: 1, accounts: 2, subjects: 2, now: () => now });
  const bytes = Buffer.from('1');
  const taken = ['A', 'B', 'C', 'D'].map((account) => pace.take(account, 'a.0', bytes));
  t.deepEqual(taken, [true, true, true, false], 'C and D are one');
  for (const subject of ['a.1', 'a.2', 'a.3']) t.false(pace.take('A', subject, bytes));
  const given: string[] = [];
  while (pace.isHolding) {
    now += 100;
    given.push(...Array.from(pace.due(), ([subject]) => subject));
  }
  t.deepEqual(given, ['a.1', 'a.0', 'a.2']);
});

test('Refusals keeps a refusal for a minute after it was mended, but for one that only waited', (t) => {
  let now = 0;
  const refusals = new Refusals(log, () => now);
  const subject = 'mc.put.A.gw.0';
  const refused = (code: RefusalCode, reason: string, waits = false, bytes = Buffer.from(reason)): void =>
    refusals.note({ subject, bytes, waits, verdict: { outcome: 'refused', code, reason } });
  const said = (): string => refusals.standing.map(({ reason }) => reason).join();
  refused('bad-signature', 'first');
  refused('wrong-account', 'second');
  t.is(said(), 'first', 'one reason a subject');
  refusals.note({ subject, bytes: Buffer.from('good'), waits: false, verdict: { outcome: 'unchanged' } });
  now = 59_999;
  t.is(said(), 'first', 'its owner was quick, and the operator is not');
  now = 60_000;
  t.is(said(), '');
  const early = Buffer.from('early');
  refused('outside-certificate', 'early', true, early);
  t.is(said(), 'early');
  refusals.note({ subject, bytes: early, waits: false, verdict: { outcome: 'unchanged' } });
  t.is(said(), '', 'its certificate came after it');
  t.deepEqual(refusals.counts, { 'bad-signature': 1, 'wrong-account': 1, 'outside-certificate': 1 });
});

test('Patience doubles its pauses up to a limit, and forgets when all is well', (t) => {
  const patience = new Patience(10, 40);
  const due = Array.from({ length: 200 }, (_, now) => now).filter((now) => patience.isDue(now));
  t.deepEqual(due, [0, 10, 30, 70, 110, 150, 190]);
  patience.reset();
  t.true(patience.isDue(191));
});
