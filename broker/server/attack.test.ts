// Everything that a member, or whoever holds a token, could try against another member: nothing of it may matter.

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsConnection, PublishOptions, Status } from '@nats-io/nats-core';
import { errors, headers } from '@nats-io/nats-core';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { runCommand } from '#lib/linux';
import { encodeJwt, Nkey } from '#lib/nats';
import { mintUser } from '../agent/connection.ts';
import { Bed } from '../bed.ts';
import { readFrom } from '../member/direct-get.ts';
import { loadMembership } from '../member/membership.ts';
import { joinUser, memberAccount, memberUser } from './accounts.ts';
import { parseAccountKey } from './data-directory.ts';
import { checkProgram } from './program.ts';

/** The product's server, and the oldest one that a distribution ships. */
const SERVERS = { current: 'nats-server', 'the distribution’s': 'nats-server-distribution' } as const;
const EVIL = Buffer.from('EVIL');
const RECORD = Buffer.from('a record of b');
/** Enough for a stall by flow control to show. */
const MANY = 20_000;

interface Scene {
  readonly bed: Bed;
  readonly a: NatsConnection;
  readonly b: NatsConnection;
  readonly owner: NatsConnection;
  readonly accountA: string;
  readonly accountB: string;
  readonly accountBroker: string;
  /** Everything that B was sent, `subject data`. */
  readonly heardByB: string[];
  /** Permission violations that A was told of. */
  readonly violations: string[];
}

type Attack = (scene: Scene) => Promise<unknown>;

async function setScene(t: ExecutionContext, bed: Bed): Promise<Scene> {
  const memberA = await bed.join('a', ['10.1.0.0/16']);
  const memberB = await bed.join('b', ['10.2.0.0/16']);
  const [a, b, owner] = [
    await bed.connectMember(memberA),
    await bed.connectMember(memberB),
    await bed.connectBroker(),
  ];
  const heardByB: string[] = [];
  for (const subject of ['mc.upd.>', 'mc.evt.>', '_INBOX.>']) {
    b.subscribe(subject, {
      callback: (_, message) =>
        void heardByB.push(`${message.subject} ${Buffer.from(message.data).toString('latin1')}`),
    });
  }
  const violations: string[] = [];
  void collect(a, violations);
  for (const slot of ['gw.0', 'm', 's.0']) await b.request(`put.${slot}`, RECORD);
  await a.request('put.gw.0', 'a record of a');
  t.timeout(120_000);
  const accountBroker = memberA.brokerAccount;
  return {
    bed,
    a,
    b,
    owner,
    accountA: memberA.own.account,
    accountB: memberB.own.account,
    accountBroker,
    heardByB,
    violations,
  };
}

async function collect(connection: NatsConnection, violations: string[]): Promise<void> {
  for await (const status of connection.status()) {
    const text = violationOf(status);
    if (text !== undefined) violations.push(text);
  }
}

function violationOf(status: Status): string | undefined {
  return status.type === 'error' && status.error instanceof errors.PermissionViolationError
    ? status.error.message
    : undefined;
}

/** What the stream holds of everybody but A: subject → sequence and digest. */
async function world({ owner, accountA }: Scene): Promise<Record<string, string>> {
  const info = (
    await owner.request('$JS.API.STREAM.INFO.MC', JSON.stringify({ subjects_filter: '>' }))
  ).json<{
    readonly config: unknown;
    readonly state: { readonly subjects?: Record<string, number>; readonly consumer_count: number };
  }>();
  const subjects = Object.keys(info.state.subjects ?? {}).filter(
    (subject) => !subject.startsWith(`mc.put.${accountA}.`),
  );
  const entries = await Promise.all(
    subjects.sort().map(async (subject) => {
      const found = await owner.request('$JS.API.DIRECT.GET.MC', JSON.stringify({ last_by_subj: subject }));
      const digest = createHash('sha256').update(found.data).digest('hex');
      return [subject, `${found.headers?.get('Nats-Sequence')} ${digest}`] as const;
    }),
  );
  const settings = JSON.stringify(info.config);
  return { ...Object.fromEntries(entries), settings, consumers: String(info.state.consumer_count) };
}

/** A publishes, and waits until the server has dealt with it. */
async function publish(
  { a }: Scene,
  subject: string,
  data: Uint8Array | string = EVIL,
  options: PublishOptions = {},
): Promise<void> {
  a.publish(subject, data, options);
  await a.flush();
}

async function ask({ a }: Scene, subject: string, body: unknown = ''): Promise<string> {
  try {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return (await a.request(subject, text, { timeout: 300 })).string();
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}

async function listen({ a }: Scene, subject: string): Promise<number> {
  const subscription = a.subscribe(subject);
  let heard = 0;
  void (async () => {
    for await (const _ of subscription) heard += 1;
  })().catch(() => undefined);
  await a.flush();
  await sleep(20);
  if (!subscription.isClosed()) subscription.unsubscribe();
  return heard;
}

function withHeader(name: string, value: string): PublishOptions {
  const all = headers();
  all.set(name, value);
  return { headers: all };
}

/** Subjects at which an answer or a message of A's would do harm. */
function targets({ accountB, accountBroker }: Scene): string[] {
  return [
    `mc.put.${accountB}.gw.0`,
    `mc.put.${accountB}.gw.1`,
    `mc.put.${accountBroker}.dir.b`,
    `mc.upd.${accountB}.gw.0`,
    `mc.evt.${accountB}.gw.0`,
    `mc.evt.${accountBroker}.dir.b`,
    'mc.evt.beacon',
    `mc.hot.${accountB}`,
    '$JS.API.STREAM.PURGE.MC',
    '$JS.API.STREAM.DELETE.MC',
    '$JS.API.STREAM.MSG.DELETE.MC',
    '$JS.API.CONSUMER.CREATE.MC',
    '$KV.endpoints.b.gw',
    '$SYS.REQ.CLAIMS.DELETE',
    '$SYS.REQ.CLAIMS.UPDATE',
    '_INBOX.b',
    '_R_.b',
    '_GR_.b',
    'put.gw.0',
  ];
}

const push = { deliver_policy: 'all', ack_policy: 'none' } as const;

/** What is refused outright: A is told of a violation, or nobody answers. */
const ATTACKS: Readonly<Record<string, Attack>> = {
  'publishes on what is not its own': async (scene) => {
    for (const subject of targets(scene).filter((target) => target !== 'put.gw.0'))
      await publish(scene, subject);
  },
  'publishes in slots that nobody has': async (scene) => {
    for (const slot of ['gw.8', 's.64', 's.999', 'x', 'gw', 'm.1', 'gw.0.b'])
      await publish(scene, `put.${slot}`);
  },
  'asks JetStream to change the stream': async (scene) => {
    for (const [what, body] of [
      ['STREAM.PURGE.MC', {}],
      ['STREAM.DELETE.MC', ''],
      ['STREAM.UPDATE.MC', { name: 'MC', subjects: ['mc.put.>'], max_msgs: 1 }],
      ['STREAM.CREATE.MC2', { name: 'MC2', subjects: ['mc.put.>'] }],
      ['STREAM.CREATE.MIRROR', { name: 'MIRROR', mirror: { name: 'MC' } }],
      ['STREAM.MSG.DELETE.MC', { seq: 1 }],
      ['STREAM.MSG.GET.MC', { seq: 1 }],
      ['STREAM.SNAPSHOT.MC', { deliver_subject: '_INBOX.x' }],
      ['STREAM.RESTORE.MC', {}],
      ['STREAM.LIST', ''],
      ['STREAM.NAMES', ''],
      ['STREAM.INFO.MC', ''],
      ['STREAM.LEADER.STEPDOWN.MC', ''],
      ['INFO', ''],
    ] as const) {
      await ask(scene, `$JS.API.${what}`, body);
    }
  },
  'asks JetStream for consumers': async (scene) => {
    const filter = `mc.put.${scene.accountB}.gw.0`;
    for (const [what, config] of [
      ['CONSUMER.CREATE.MC', push],
      ['CONSUMER.CREATE.MC.x', { ...push, name: 'x' }],
      [`CONSUMER.CREATE.MC.x.${filter}`, { ...push, name: 'x', filter_subject: filter }],
      [`CONSUMER.CREATE.MC.x.${filter}`, { ...push, durable_name: 'x', filter_subject: filter }],
      ['CONSUMER.DURABLE.CREATE.MC.x', { ...push, durable_name: 'x' }],
      ['CONSUMER.CREATE.MC', { ...push, deliver_subject: '_INBOX.b' }],
      ['CONSUMER.CREATE.MC', { ...push, deliver_subject: `mc.upd.${scene.accountB}.gw.0` }],
      ['CONSUMER.CREATE.MC', { ...push, deliver_subject: '$JS.API.STREAM.PURGE.MC' }],
    ] as const) {
      await ask(scene, `$JS.API.${what}`, { stream_name: 'MC', config });
    }
    for (const what of [
      'CONSUMER.LIST.MC',
      'CONSUMER.NAMES.MC',
      'CONSUMER.DELETE.MC.x',
      'CONSUMER.INFO.MC.x',
    ]) {
      await ask(scene, `$JS.API.${what}`);
    }
    scene.a.publish('$JS.FC.MC.x');
    for (let at = 0; at < 500; at += 1) scene.a.publish(`$JS.API.CONSUMER.CREATE.MC.many${at}`, '{}');
    await scene.a.flush();
  },
  'puts its own record with a reply that harms': async (scene) => {
    for (const reply of targets(scene)) await publish(scene, 'put.gw.0', EVIL, { reply });
  },
  'reads its own record with a reply that harms': async (scene) => {
    await publish(scene, 'put.gw.0', EVIL);
    const body = JSON.stringify({ last_by_subj: `mc.put.${scene.accountA}.gw.0` });
    for (const reply of targets(scene)) await publish(scene, 'mc.get', body, { reply });
    const batch = JSON.stringify({ next_by_subj: 'mc.put.>', seq: 1, batch: 100 });
    for (const reply of targets(scene)) await publish(scene, 'mc.get', batch, { reply });
  },
  'puts records that purge or delete when they are taken for a request': async (scene) => {
    for (const body of ['{}', '', '{"seq":1}', '{"filter":"mc.put.>"}']) {
      await publish(scene, 'put.gw.0', body);
      const get = JSON.stringify({ last_by_subj: `mc.put.${scene.accountA}.gw.0` });
      for (const reply of targets(scene)) await publish(scene, 'mc.get', get, { reply });
    }
  },
  'tells the agent with a reply that harms': async (scene) => {
    for (const subject of ['hot', 'hb']) {
      for (const reply of targets(scene)) await publish(scene, subject, EVIL, { reply });
    }
  },
  'rolls the stream up, or uses headers that steer JetStream': async (scene) => {
    for (const [name, value] of [
      ['Nats-Rollup', 'all'],
      ['Nats-Rollup', 'sub'],
      ['Nats-TTL', '1s'],
      ['Nats-Marker-Reason', 'Purge'],
      ['Nats-Expected-Stream', 'OTHER'],
      ['Nats-Schedule', '@at 2020-01-01T00:00:00Z'],
      ['Nats-Schedule-Target', `mc.put.${scene.accountB}.gw.0`],
      ['Nats-Batch-Id', 'x'],
      ['Nats-Incr', '1'],
      ['Nats-Subject', `mc.put.${scene.accountB}.gw.0`],
      ['KV-Operation', 'PURGE'],
    ] as const) {
      await publish(scene, 'put.gw.0', EVIL, withHeader(name, value));
    }
    const schedule = headers();
    schedule.set('Nats-Schedule', `@at ${new Date().toISOString()}`);
    schedule.set('Nats-Schedule-Target', `mc.put.${scene.accountB}.gw.0`);
    await publish(scene, 'put.gw.1', EVIL, { headers: schedule });
  },
  'fills every slot that it has': async (scene) => {
    const junk = Buffer.alloc(60_000, 'J');
    for (let slot = 0; slot < 64; slot += 1) scene.a.publish(`put.s.${slot}`, junk);
    for (let slot = 0; slot < 8; slot += 1) scene.a.publish(`put.gw.${slot}`, junk);
    await scene.a.flush();
    await publish(scene, 'put.m', Buffer.alloc(66_000, 'J'));
  },
};

for (const [which, program] of Object.entries(SERVERS)) {
  test.serial(`attacks of one member leave the others alone on ${which} nats-server`, async (t) => {
    t.log(await checkProgram(runCommand, program, [2, 9]));
    await using bed = await Bed.open({ natsServer: program, minimumVersion: [2, 9] });
    const scene = await setScene(t, bed);
    const before = await world(scene);
    scene.heardByB.length = 0;
    for (const [name, attack] of Object.entries(ATTACKS)) {
      await attack(scene);
      await sleep(60);
      t.deepEqual(await world(scene), before, `A ${name}`);
    }
    await scene.b.flush();
    const foreign = scene.heardByB.filter(
      (line) => line.includes('EVIL') && !line.startsWith(`mc.upd.${scene.accountA}.`),
    );
    t.deepEqual(foreign, [], 'what B heard of A came as A’s own records');
    const own = [`mc.upd.${scene.accountA}.`, 'mc.evt.beacon isthmus-beacon-v1\0'];
    t.deepEqual(
      scene.heardByB.filter((line) => !own.some((start) => line.startsWith(start))),
      [],
      'nothing reached B’s inbox, and nothing came in B’s or the broker’s name but its beacon',
    );
    t.true(scene.violations.length >= 20, 'the server says what it refused');
    t.is(
      (await scene.b.request('put.gw.7', RECORD)).json<{ stream?: string }>().stream,
      'MC',
      'B still writes',
    );
  });

  test.serial(`A cannot hear what is not for all on ${which} nats-server`, async (t) => {
    await using bed = await Bed.open({ natsServer: program, minimumVersion: [2, 9] });
    const scene = await setScene(t, bed);
    for (const subject of [
      '>',
      '*',
      'mc.>',
      'mc.put.>',
      'mc.hot.>',
      'mc.join.>',
      '$KV.>',
      '$SYS.>',
      '$JS.>',
      '_INBOX_b.>',
      '_R_.>',
    ]) {
      const seen = scene.violations.length;
      await listen(scene, subject);
      t.is(scene.violations.length, seen + 1, subject);
    }
    const inboxes = scene.a.subscribe('_INBOX.>');
    await scene.a.flush();
    await scene.b.request('put.gw.0', RECORD);
    await scene.b.request('mc.get', JSON.stringify({ last_by_subj: `mc.put.${scene.accountB}.gw.0` }));
    await sleep(50);
    t.is(inboxes.getReceived(), 0, 'B’s answers stay in B’s account');
  });

  test.serial(
    `a message id that A took before does not swallow B’s record on ${which} nats-server`,
    async (t) => {
      await using bed = await Bed.open({ natsServer: program, minimumVersion: [2, 9] });
      const scene = await setScene(t, bed);
      await scene.a.request('put.gw.0', EVIL, withRequest('Nats-Msg-Id', 'the next id of b'));
      t.is(
        (await scene.b.request('put.gw.0', RECORD)).json<{ duplicate?: boolean }>().duplicate,
        undefined,
        'ours have none',
      );
      await sleep(150);
      const late = await scene.b.request('put.gw.0', RECORD, withRequest('Nats-Msg-Id', 'the next id of b'));
      t.is(late.json<{ duplicate?: boolean }>().duplicate, undefined, 'ids are forgotten after 100 ms');
    },
  );

  test.serial(
    `an account that imports B’s slots is refused even with the operator’s signature on ${which} nats-server`,
    async (t) => {
      await using bed = await Bed.open({ natsServer: program, minimumVersion: [2, 9] });
      const scene = await setScene(t, bed);
      const keys = await bed.keys();
      const rogue = Nkey.generate('account');
      const claims = memberAccount(parseAccountKey(scene.accountB), keys.broker.publicKey);
      const { user: system, jwt } = mintUser(
        keys.system,
        'test',
        { ...memberUser(64), pub: {}, sub: {} },
        { issuedAt: new Date() },
      );
      const sys = await bed.connect(jwt, system.reveal());
      const limits = { ...claims.limits, conn: 5 };
      const account = encodeJwt({
        name: 'rogue',
        subject: rogue.publicKey,
        signer: keys.operatorSigning,
        claims: { ...claims, limits },
        issuedAt: Math.floor(Date.now() / 1000),
      });
      await sys.request('$SYS.REQ.CLAIMS.UPDATE', account);
      const { user, jwt: userJwt } = mintUser(rogue, 'rogue', memberUser(64), { issuedAt: new Date() });
      const before = await world(scene);
      const connection = await bed.connect(userJwt, user.reveal());
      await t.throwsAsync(connection.request('put.gw.0', EVIL, { timeout: 500 }));
      t.deepEqual(await world(scene), before);
    },
  );

  test.serial(`a token’s holder can ask to join and nothing else on ${which} nats-server`, async (t) => {
    await using bed = await Bed.open({ natsServer: program, minimumVersion: [2, 9] });
    const scene = await setScene(t, bed);
    const { join } = await bed.keys();
    const { user, jwt } = mintUser(join, 'joiner', joinUser('00000000000000aa'), { issuedAt: new Date() });
    const joiner = await bed.connect(jwt, user.reveal(), { inboxPrefix: '_INBOX_00000000000000aa' });
    const violations: string[] = [];
    void collect(joiner, violations);
    const before = await world(scene);
    scene.heardByB.length = 0;
    for (const subject of ['put.gw.0', 'mc.get', 'hot', 'join.00000000000000bb', ...targets(scene)])
      joiner.publish(subject, EVIL);
    for (const reply of targets(scene)) joiner.publish('join.00000000000000aa', EVIL, { reply });
    for (const subject of ['>', 'mc.upd.>', 'mc.evt.>', '_INBOX.>', '_INBOX_00000000000000bb.>', 'join.>'])
      joiner.subscribe(subject);
    await joiner.flush();
    await sleep(100);
    t.deepEqual(await world(scene), before);
    t.true(violations.length >= 20);
    t.deepEqual(
      scene.heardByB.filter((line) => !line.startsWith('mc.evt.beacon ')),
      [],
    );
    // The agent takes sixteen messages a second from one token, and does not answer what is too much.
    await sleep(1_000);
    t.like(JSON.parse((await joiner.request('join.00000000000000aa', EVIL)).string()), {
      ok: false,
      fault: 'malformed',
    });
  });

  test.serial(
    `twenty thousand records reach a member live and by direct get on ${which} nats-server`,
    async (t) => {
      t.timeout(60_000);
      await using bed = await Bed.open({ natsServer: program, minimumVersion: [2, 9] });
      const a = await bed.connectMember(await bed.join('a', ['10.1.0.0/16']));
      const owner = await bed.connectBroker();
      const heard = new Set<string>();
      a.subscribe('mc.upd.>', { callback: (_, message) => void heard.add(message.subject) });
      await a.flush();
      const { publicKey } = Nkey.generate('account');
      const body = Buffer.alloc(600, 'r');
      for (let at = 0; at < MANY; at += 500) {
        const puts = Array.from({ length: 500 }, (_, more) =>
          owner.request(`mc.put.${publicKey}.s.${at + more}`, body, { timeout: 10_000 }),
        );
        await Promise.all(puts);
      }
      await a.flush();
      t.is([...heard].filter((subject) => subject.includes(publicKey)).length, MANY);
      t.is(
        await (which === 'current' ? readPages(a) : readSingly(a, MANY + 1)),
        MANY + 1,
        'its own directory entry is one more',
      );
    },
  );

  test.serial(`a member’s connections and subscriptions are bounded on ${which} nats-server`, async (t) => {
    await using bed = await Bed.open({ natsServer: program, minimumVersion: [2, 9] });
    const scene = await setScene(t, bed);
    const memberA = await loadMembership(bed.secretsOf('a'));
    for (let at = 1; at < 20; at += 1) await bed.connectMember(memberA);
    await t.throwsAsync(bed.connectMember(memberA), {
      message: /maximum account active connections exceeded/i,
    });
    const seen: string[] = [];
    void (async () => {
      for await (const status of scene.a.status())
        if (status.type === 'error') seen.push(status.error.message);
    })();
    for (let at = 0; at < 40; at += 1) scene.a.subscribe(`_INBOX.x${at}`);
    await scene.a.flush().catch(() => undefined);
    await sleep(50);
    t.true(
      seen.some((message) => /maximum subscriptions exceeded/i.test(message)),
      seen.join(),
    );
    t.is(
      (await scene.b.request('put.gw.0', RECORD)).json<{ stream?: string }>().stream,
      'MC',
      'B does not notice',
    );
  });

  test.serial(
    `the same attack does harm where members share an account, so that this suite would see it, on ${which} nats-server`,
    async (t) => {
      await using bed = await Bed.open({ natsServer: program, minimumVersion: [2, 9] });
      const scene = await setScene(t, bed);
      const { broker } = await bed.keys();
      const flat = memberUser(64);
      const allowed = { ...flat, pub: { allow: [`mc.put.${scene.accountA}.>`, '$JS.API.DIRECT.GET.MC'] } };
      const { user, jwt } = mintUser(broker, 'flat', allowed, { issuedAt: new Date() });
      const a = await bed.connect(jwt, user.reveal());
      const before = await world(scene);
      const reply = `mc.put.${scene.accountB}.gw.0`;
      await a.request(`mc.put.${scene.accountA}.gw.0`, EVIL);
      a.publish('$JS.API.DIRECT.GET.MC', JSON.stringify({ last_by_subj: `mc.put.${scene.accountA}.gw.0` }), {
        reply,
      });
      await a.flush();
      const harm = `mc.upd.${scene.accountB}.gw.0 EVIL`;
      for (let tries = 0; tries < 100 && !scene.heardByB.includes(harm); tries += 1) await sleep(20);
      t.true(scene.heardByB.includes(harm), 'B is told that its own record says what A chose');
      t.notDeepEqual(await world(scene), before);
    },
  );

  test.serial(`a user is cut off when its JWT expires on ${which} nats-server`, async (t) => {
    await using bed = await Bed.open({ natsServer: program, minimumVersion: [2, 9] });
    const { join } = await bed.keys();
    const expiresAt = Math.floor(Date.now() / 1000) + 2;
    const { user, jwt } = mintUser(join, 'joiner', joinUser('00000000000000aa'), {
      issuedAt: new Date(),
      expiresAt,
    });
    const connection = await bed.connect(jwt, user.reveal(), { inboxPrefix: '_INBOX_00000000000000aa' });
    await Promise.race([connection.closed(), sleep(5_000, undefined, { ref: false })]);
    t.true(connection.isClosed());
    // Its last second counts as before the end.
    await sleep(1_100);
    const error = await t.throwsAsync(bed.connect(jwt, user.reveal()));
    t.true(['AuthorizationError', 'UserAuthenticationExpiredError'].includes(error.name), error.name);
  });
}

/** Pages of the stream, as members read it. */
async function readPages(connection: NatsConnection): Promise<number> {
  let count = 0;
  for await (const _ of readFrom(connection, 1)) count += 1;
  return count;
}

/** One by one: older servers give no pages. */
async function readSingly(connection: NatsConnection, last: number): Promise<number> {
  let count = 0;
  for (let from = 1; from <= last; from += 250) {
    const asked = Array.from({ length: 250 }, (_, more) =>
      connection.request('mc.get', JSON.stringify({ seq: from + more }), { timeout: 10_000 }),
    );
    count += (await Promise.all(asked)).filter(
      (message) => message.headers?.has('Nats-Sequence') === true,
    ).length;
  }
  return count;
}

function withRequest(
  name: string,
  value: string,
): { readonly timeout: number; readonly headers: ReturnType<typeof headers> } {
  const all = headers();
  all.set(name, value);
  return { timeout: 1_000, headers: all };
}

test('readFrom() takes no more from a hostile server than it has asked for', async (t) => {
  await using bed = await Bed.open();
  const liar = await bed.connectBroker();
  liar.subscribe('mc.get', {
    callback: (_, message) => {
      for (let sent = 0; sent < 600; sent += 1) message.respond('more');
    },
  });
  await liar.flush();
  const reading = readFrom(await bed.connectBroker(), 1)[Symbol.asyncIterator]();
  await t.throwsAsync(reading.next(), { message: /a page is longer than was asked for/ });
});
