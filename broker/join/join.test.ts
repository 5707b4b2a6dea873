import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/nats-core';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { parseCidr } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import { Nkey } from '#lib/nats';
import { mintUser } from '../agent/connection.ts';
import { issueToken, listMembers, revokeMember } from '../agent/manage.ts';
import { findToken, saveToken } from '../agent/tokens.ts';
import { Traffic } from '../agent/traffic.ts';
import { Bed } from '../bed.ts';
import { loadMembership } from '../member/membership.ts';
import { openBeacon } from '../records/beacon.ts';
import { agentUser } from '../server/accounts.ts';
import { pathsOf } from '../server/data-directory.ts';
import { pinRoot } from '../trust/authority.ts';
import { parseAccount } from '../trust/header.ts';
import { openCertificate, signCertificate } from '../trust/certificate.ts';
import type { Certificate } from '../trust/certificate.ts';
import { SigningKey } from '../trust/keys.ts';
import { signRecord } from '../trust/record.ts';
import { Refused } from '../trust/refusal.ts';
import { openRevocation } from '../trust/revocation.ts';
import { encodeToken, parseToken, TokenError } from '../trust/token.ts';
import type { MembershipFault } from './errors.ts';
import { JoinError } from './errors.ts';
import { joinClusterset } from './join.ts';
import { leaveClusterset } from './leave.ts';
import { decodeAnswer, encodeRequest, splitRequest } from './message.ts';
import { beginJoin } from './pending.ts';

const SEED = { seed: 6, numRuns: 500 };
const POD = ['10.1.0.0/16', 'fd10:1::/32'];

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Nothing half-applied: the secrets directory is as if nothing had been tried. */
async function isRefused(
  t: ExecutionContext,
  bed: Bed,
  token: string,
  expected: { fault: MembershipFault; says: RegExp },
): Promise<void> {
  const secretsDir = join(bed.root, `refused-${Math.random()}`);
  const error = await t.throwsAsync(joinClusterset({ token, secretsDir, hostNetworks: [] }), {
    instanceOf: JoinError,
  });
  t.is(error.fault, expected.fault);
  t.regex(error.message, expected.says);
  t.regex(error.message, /^Cannot join "[a-z]+": .+\. .+$/, 'reason, then the next step');
  t.false(await exists(secretsDir));
}

/** Until it is so, within a second. */
async function within(ms: number, isSo: () => boolean): Promise<number> {
  const start = performance.now();
  while (!isSo() && performance.now() - start < ms) await sleep(5);
  return performance.now() - start;
}

test('joinClusterset() gives a membership that the root stands behind, with keys that only the cluster has', async (t) => {
  await using bed = await Bed.open();
  const secretsDir = bed.secretsOf('east');
  const joined = await joinClusterset({ token: await bed.token('east', POD), secretsDir, hostNetworks: [] });
  t.like(joined, { clusterset: bed.broker.clusterset, cluster: 'east', index: 1, again: false });
  const { own, urls, identity } = await loadMembership(secretsDir);
  t.deepEqual(own.podCidrs.map(String), POD);
  t.deepEqual(urls, [`tls://127.0.0.1:${bed.port}`]);
  t.deepEqual((await readdir(secretsDir)).sort(), ['identity.key', 'membership.json', 'user.creds']);
  for (const name of ['identity.key', 'user.creds'])
    t.is((await stat(join(secretsDir, name))).mode & 0o777, 0o600, name);
  const seed = /^(SU\w+)$/m.exec(await readFile(join(secretsDir, 'user.creds'), 'utf8'))?.[1] ?? '?';
  const secrets = [seed, identity.reveal().split('\n')[1] ?? '?'];
  for (const file of await readdir(bed.dir, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const text = await readFile(join(file.parentPath, file.name), 'latin1');
    t.false(
      secrets.some((secret) => text.includes(secret)),
      `the broker has no secret of the cluster's (${file.name})`,
    );
  }
});

test('joinClusterset() again with the same token and directory gives the same membership again', async (t) => {
  await using bed = await Bed.open();
  const token = await bed.token('east', POD);
  const secretsDir = bed.secretsOf('east');
  const first = await joinClusterset({ token, secretsDir, hostNetworks: [] });
  const before = await loadMembership(secretsDir);
  const second = await joinClusterset({ token, secretsDir, hostNetworks: [] });
  const after = await loadMembership(secretsDir);
  t.deepEqual({ ...second, again: false }, first);
  t.true(second.again);
  t.is(after.certificate, before.certificate);
  const a = await bed.connectMember(after);
  t.is((await a.request('put.gw.0', 'x')).json<{ stream: string }>().stream, 'MC');
});

test('joinClusterset() finishes a join whose answer was lost, also after the token has expired', async (t) => {
  await using bed = await Bed.open();
  const text = await bed.token('east', POD, 2);
  const token = parseToken(text);
  const secretsDir = bed.secretsOf('east');
  const { identity, user } = await beginJoin(secretsDir, token);
  const { clusterset } = bed.broker;
  const asked = {
    clusterset,
    token: token.id,
    cluster: token.cluster,
    identity: identity.publicKey,
    user: user.publicKey,
    hostNetworks: [],
  };
  const joiner = await bed.connect(token.jwt, token.seed, { inboxPrefix: `_INBOX_${token.id}` });
  await joiner.request(`join.${token.id}`, encodeRequest(asked, identity, token.secret));
  await sleep(Math.max(0, Date.parse(token.expires) - Date.now() + 10));
  const [member] = await listMembers({ dir: bed.dir });
  t.is(member?.cluster, token.cluster, 'the agent admitted it, and the joiner does not know');
  await joinClusterset({ token: text, secretsDir, hostNetworks: [] });
  t.is((await loadMembership(secretsDir)).own.account, parseAccount(member?.account ?? ''));
  t.false((await readdir(secretsDir)).includes('joining.json'));
});

test('joinClusterset() refuses tokens that are expired, used, altered or another broker’s', async (t) => {
  await using bed = await Bed.open();
  const secretsDir = bed.secretsOf('x');
  const attempt = (token: string): Promise<unknown> =>
    joinClusterset({ token, secretsDir, hostNetworks: [] });
  const expired = await bed.token('east', POD, 0);
  t.is((await t.throwsAsync(attempt(expired), { instanceOf: TokenError })).fault, 'expired');
  const good = await bed.token('east', POD);
  t.is(
    (await t.throwsAsync(attempt(`${good.slice(0, 200)}A${good.slice(201)}`), { instanceOf: TokenError }))
      .fault,
    'altered',
  );
  t.is((await t.throwsAsync(attempt(good.slice(0, -30)), { instanceOf: TokenError })).fault, 'truncated');
  t.is((await t.throwsAsync(attempt('K10abc::server:def'), { instanceOf: TokenError })).fault, 'foreign');
  t.false(await exists(secretsDir));

  const whole = parseToken(good);
  const late = encodeToken({ ...parseToken(expired), expires: whole.expires });
  await isRefused(t, bed, late, {
    fault: 'expired-token',
    says: /the token expired at .*clusterctl broker token/,
  });
  await isRefused(t, bed, encodeToken({ ...whole, secret: 'AAAA' }), {
    fault: 'altered-token',
    says: /the token was altered/,
  });
  await isRefused(t, bed, encodeToken({ ...whole, cluster: parseClusterId('west') }), {
    fault: 'altered-token',
    says: /for the cluster "east"/,
  });
  await rm(join(bed.dir, 'tokens', `${whole.id}.json`));
  await isRefused(t, bed, good, { fault: 'unknown-token', says: /this broker does not know the token/ });

  const used = await bed.token('east', POD);
  await joinClusterset({ token: used, secretsDir: bed.secretsOf('east'), hostNetworks: [] });
  await isRefused(t, bed, used, { fault: 'used-token', says: /used already, by another identity key/ });
});

test('joinClusterset() never lets a token widen its CIDRs', async (t) => {
  await using bed = await Bed.open();
  const token = parseToken(await bed.token('east', ['10.1.0.0/16']));
  const wider = encodeToken({ ...token, podCidrs: [parseCidr('10.0.0.0/8')] });
  const secretsDir = bed.secretsOf('east');
  await t.throwsAsync(joinClusterset({ token: wider, secretsDir, hostNetworks: [] }), {
    message: /granted something else/,
  });
  t.false(await exists(join(secretsDir, 'membership.json')));
  const [member] = await listMembers({ dir: bed.dir });
  t.deepEqual(member?.podCidrs.map(String), ['10.1.0.0/16'], 'the broker certifies what it has on file');
});

test('joinClusterset() refuses an id that is taken, and a changed identity key', async (t) => {
  await using bed = await Bed.open();
  await bed.join('east', POD);
  const again = await bed.token('east', POD);
  await isRefused(t, bed, again, {
    fault: 'cluster-taken',
    says: /with this id and another identity key.*clusterctl broker revoke east/,
  });
  const secretsDir = bed.secretsOf('east');
  await writeFile(join(secretsDir, 'identity.key'), SigningKey.generate().reveal());
  await t.throwsAsync(joinClusterset({ token: again, secretsDir, hostNetworks: [] }), {
    message: /identity\.key is not the key/,
  });
});

test('joinClusterset() refuses CIDRs of a member, of the fabric, and of the host’s own networks', async (t) => {
  await using bed = await Bed.open();
  // Made before east is there: the agent has to notice, not the operator.
  const overlapping = await bed.token('west', ['10.1.128.0/17']);
  const fabric = await bed.token('north', ['10.9.0.0/16']);
  const { id } = parseToken(fabric);
  const stored = await findToken(pathsOf(bed.dir), id);
  if (stored === undefined) return t.fail('the token is not on file');
  await saveToken(pathsOf(bed.dir), { ...stored, podCidrs: [parseCidr('100.65.0.0/16')] });
  await bed.join('east', POD);
  await isRefused(t, bed, overlapping, {
    fault: 'overlap-member',
    says: /pod CIDR 10\.1\.128\.0\/17 overlaps 10\.1\.0\.0\/16 of "east"/,
  });
  await isRefused(t, bed, fabric, {
    fault: 'overlap-fabric',
    says: /pod CIDR 100\.65\.0\.0\/16 overlaps the clusterset's fabric 100\.64\.0\.0\/10/,
  });

  const token = await bed.token('south', ['10.3.0.0/16']);
  const secretsDir = bed.secretsOf('south');
  for (const [network, says] of [
    ['10.1.2.0/24', /host's network 10\.1\.2\.0\/24 overlaps 10\.1\.0\.0\/16, "east"/],
    ['100.64.1.0/24', /host's network 100\.64\.1\.0\/24 overlaps 100\.64\.0\.0\/10, the clusterset's fabric/],
    ['10.0.0.0/8', /host's network 10\.0\.0\.0\/8 overlaps 10\.3\.0\.0\/16, its own CIDR/],
  ] as const) {
    const attempt = joinClusterset({ token, secretsDir, hostNetworks: [parseCidr(network)] });
    t.is((await t.throwsAsync(attempt, { instanceOf: JoinError, message: says })).fault, 'overlap-host');
  }
  t.false(await exists(secretsDir));
  const bridges = Array.from({ length: 200 }, (_, at) => parseCidr(`fd42:4242:4242:${at.toString(16)}::/64`));
  const inside = [parseCidr('10.3.7.0/24'), parseCidr('192.168.1.0/24'), ...bridges];
  t.is((await joinClusterset({ token, secretsDir, hostNetworks: inside })).index, 2);
  return undefined;
});

test('issueToken() refuses CIDRs that could never join', async (t) => {
  await using bed = await Bed.open();
  await bed.join('east', POD);
  const make = (podCidrs: string[], cluster = 'west'): Promise<unknown> =>
    issueToken({ dir: bed.dir, cluster, podCidrs, ttlSeconds: 60 });
  await t.throwsAsync(make([]), { message: /no pod CIDR/ });
  await t.throwsAsync(make(['10.1.0.0/24']), { message: /overlaps 10\.1\.0\.0\/16 of "east"/ });
  await t.throwsAsync(make(['100.80.0.0/16']), { message: /overlaps the clusterset's fabric/ });
  await t.throwsAsync(make(['10.2.0.0/16', '10.2.1.0/24']), {
    message: /10\.2\.0\.0\/16 and 10\.2\.1\.0\/24 overlap/,
  });
  await t.throwsAsync(make(['10.2.0.0/16'], 'West'), { instanceOf: SyntaxError });
  await t.throwsAsync(make(['10.2.0.0/33']), { instanceOf: SyntaxError });
});

test('joinClusterset() says which broker cannot be reached, keeps nothing, and works once it is there', async (t) => {
  await using bed = await Bed.open();
  const token = await bed.token('east', POD);
  const secretsDir = bed.secretsOf('east');
  await bed.stop();
  const attempt = (): Promise<unknown> =>
    joinClusterset({ token, secretsDir, hostNetworks: [], timeoutMs: 1_000 });
  const error = await t.throwsAsync(attempt(), { instanceOf: JoinError });
  t.is(error.fault, 'unreachable');
  t.true(
    error.message.includes(`the broker at tls://127.0.0.1:${bed.port} does not answer within 1 s`),
    error.message,
  );
  t.false(await exists(secretsDir));
  const silent = createServer().listen(bed.port, '127.0.0.1');
  t.is(
    (await t.throwsAsync(attempt(), { instanceOf: JoinError })).fault,
    'unreachable',
    'something that listens and says nothing',
  );
  await once(silent.close(), 'close');
  await bed.start();
  await t.notThrowsAsync(attempt());
});

test('joinClusterset() does not believe a server that another authority certified', async (t) => {
  await using bed = await Bed.open();
  await using other = await Bed.open();
  const token = parseToken(await bed.token('east', POD));
  const attempt = joinClusterset({
    token: encodeToken({ ...token, ca: (await other.keys()).tls.certificate }),
    secretsDir: bed.secretsOf('east'),
    hostNetworks: [],
    timeoutMs: 2_000,
  });
  const error = await t.throwsAsync(attempt, { instanceOf: JoinError });
  t.is(error.fault, 'unreachable');
  t.regex(error.message, /certificate|signature/);
});

test('joinClusterset() refuses a directory that holds another membership', async (t) => {
  await using bed = await Bed.open();
  await bed.join('east', POD);
  const token = await bed.token('west', ['10.2.0.0/16']);
  const error = await t.throwsAsync(
    joinClusterset({ token, secretsDir: bed.secretsOf('east'), hostNetworks: [] }),
    {
      instanceOf: JoinError,
    },
  );
  t.is(error.fault, 'other-membership');
  t.true(error.message.includes('holds the membership of "east"'));
});

test('joinClusterset() with a new token changes a member’s CIDRs and voids its former credentials', async (t) => {
  await using bed = await Bed.open();
  const before = await bed.join('east', POD);
  await sleep(1_100);
  const after = await bed.join('east', ['10.1.0.0/16', '10.11.0.0/16']);
  t.is(after.own.account, before.own.account);
  t.is(after.own.index, before.own.index);
  t.true(after.own.serial > before.own.serial);
  await t.throwsAsync(bed.connectMember(before));
  await t.notThrowsAsync(bed.connectMember(after));
});

test('joinClusterset() refuses a used token that would bring back CIDRs which another token replaced', async (t) => {
  await using bed = await Bed.open();
  const token = await bed.token('east', ['10.1.0.0/16', '10.11.0.0/16']);
  const secretsDir = bed.secretsOf('east');
  await joinClusterset({ token, secretsDir, hostNetworks: [] });
  const narrowed = await bed.join('east', ['10.1.0.0/16']);
  const error = await t.throwsAsync(joinClusterset({ token, secretsDir, hostNetworks: [] }), {
    instanceOf: JoinError,
  });
  t.is(error.fault, 'used-token');
  t.is((await loadMembership(secretsDir)).certificate, narrowed.certificate);
  t.false((await readdir(secretsDir)).includes('joining.json'));
});

test('leaveClusterset() tells the others, frees id and CIDRs, and forgets the keys', async (t) => {
  await using bed = await Bed.open();
  const west = await bed.connectMember(await bed.join('west', ['10.2.0.0/16']));
  const heard: Uint8Array[] = [];
  west.subscribe('mc.evt.*.dir.east', { callback: (_, message) => void heard.push(message.data) });
  await west.flush();
  const { pinned, own } = await bed.join('east', POD);
  const secretsDir = bed.secretsOf('east');
  t.like(await leaveClusterset({ secretsDir }), { cluster: 'east', told: true });
  t.deepEqual(await readdir(secretsDir), []);
  await west.flush();
  const end = openRevocation(pinned, heard.at(-1) ?? new Uint8Array());
  t.like(end, { by: 'member', reason: 'left' });
  const members = await listMembers({ dir: bed.dir });
  t.deepEqual(
    members.map(({ cluster, state }) => [cluster, state]),
    [
      ['east', 'left'],
      ['west', 'member'],
    ],
  );
  const again = await bed.join('east', POD);
  t.is(again.own.index, own.index, 'the index stays with the id');
  t.not(again.own.account, own.account);
  t.not(again.own.identity, own.identity);
});

test('leaveClusterset() keeps the membership when the broker is away, and forgets it by force', async (t) => {
  await using bed = await Bed.open();
  await bed.join('east', POD);
  const secretsDir = bed.secretsOf('east');
  await bed.stop();
  const error = await t.throwsAsync(leaveClusterset({ secretsDir, timeoutMs: 500 }), {
    instanceOf: JoinError,
  });
  t.is(error.fault, 'unreachable');
  t.true(error.message.includes('--force'));
  await t.notThrowsAsync(loadMembership(secretsDir));
  t.false((await leaveClusterset({ secretsDir, force: true, timeoutMs: 500 })).told);
  t.deepEqual(await readdir(secretsDir), []);
});

test.serial(
  'revokeMember() cuts a member off within a second, and it stays out over restarts and old copies',
  async (t) => {
    await using bed = await Bed.open();
    const east = await bed.join('east', POD);
    const west = await bed.connectMember(await bed.join('west', ['10.2.0.0/16']));
    await cp(join(bed.dir, 'nats', 'accounts'), join(bed.root, 'old-accounts'), { recursive: true });
    const connection = await bed.connectMember(east);
    let peerAfter = 0;
    let cutAfter = 0;
    const start = performance.now();
    void connection.closed().then(() => (cutAfter = performance.now() - start));
    west.subscribe('mc.evt.*.dir.east', { callback: () => void (peerAfter = performance.now() - start) });
    await west.flush();
    t.deepEqual(await revokeMember({ dir: bed.dir, cluster: 'east' }), {
      cluster: parseClusterId('east'),
      running: true,
      freed: false,
    });
    await within(1_000, () => cutAfter > 0 && peerAfter > 0);
    t.log(`cut off after ${Math.round(cutAfter)} ms, peers told after ${Math.round(peerAfter)} ms`);
    t.true(cutAfter > 0 && cutAfter < 1_000 && peerAfter > 0 && peerAfter < 1_000);
    const isOut = async (when: string): Promise<void> => {
      await t.throwsAsync(bed.connectMember(east), undefined, when);
    };
    await isOut('at once');
    await bed.stop();
    await bed.start();
    await isOut('after a restart');
    await bed.stop();
    await cp(join(bed.root, 'old-accounts'), join(bed.dir, 'nats', 'accounts'), { recursive: true });
    await bed.start();
    await isOut('after accounts were put back from an old copy');
    await bed.stop();
    await rm(join(bed.dir, 'nats'), { recursive: true });
    await bed.start();
    await isOut('after the server lost everything');
  },
);

test('revokeMember() holds the id until the root frees it, and a freed id needs a new identity', async (t) => {
  await using bed = await Bed.open();
  const west = await bed.token('west', ['10.1.0.0/16']);
  await bed.join('east', POD);
  await revokeMember({ dir: bed.dir, cluster: 'east', reason: 'stolen' });
  const held = await bed.token('east', POD);
  await isRefused(t, bed, held, { fault: 'cluster-held', says: /not free yet.*--root-key/ });
  await t.throwsAsync(bed.token('edge', ['10.1.0.0/16']), { message: /overlaps 10\.1\.0\.0\/16 of "east"/ });
  await isRefused(t, bed, west, { fault: 'overlap-member', says: /overlaps 10\.1\.0\.0\/16 of "east"/ });
  const foreign = SigningKey.generate().reveal();
  await t.throwsAsync(revokeMember({ dir: bed.dir, cluster: 'east', rootKey: foreign }), {
    message: /another clusterset/,
  });
  const rootKey = await readFile(join(bed.dir, 'offline', 'root.key'), 'utf8');
  t.true((await revokeMember({ dir: bed.dir, cluster: 'east', rootKey })).freed);
  const error = await t.throwsAsync(
    joinClusterset({ token: held, secretsDir: bed.secretsOf('east'), hostNetworks: [] }),
    { instanceOf: JoinError },
  );
  t.is(error.fault, 'identity-ended');
  t.is(
    (await joinClusterset({ token: held, secretsDir: bed.secretsOf('east2'), hostNetworks: [] })).index,
    1,
  );
  await t.throwsAsync(revokeMember({ dir: bed.dir, cluster: 'nobody' }), { message: /it is not a member/ });
});

test('issueToken(), listMembers() and revokeMember() work while no broker runs', async (t) => {
  await using bed = await Bed.open();
  const east = await bed.join('east', POD);
  await bed.stop();
  const token = await bed.token('west', ['10.2.0.0/16']);
  t.is((await listMembers({ dir: bed.dir })).length, 1);
  t.false((await revokeMember({ dir: bed.dir, cluster: 'east' })).running);
  t.is((await listMembers({ dir: bed.dir }))[0]?.state, 'held');
  await bed.start();
  await t.throwsAsync(bed.connectMember(east));
  await joinClusterset({ token, secretsDir: bed.secretsOf('west'), hostNetworks: [] });
  const west = await bed.connectMember(await loadMembership(bed.secretsOf('west')));
  const entry = await last(west, `mc.put.${east.brokerAccount}.dir.east`);
  t.is(openRevocation(east.pinned, entry).by, 'membership', 'the start published it');
});

test('startBroker() puts the directory back after the stream was wiped, and keeps members, tokens and indices', async (t) => {
  await using bed = await Bed.open();
  const east = await bed.join('east', POD);
  const token = await bed.token('west', ['10.2.0.0/16']);
  await bed.stop();
  await rm(join(bed.dir, 'nats'), { recursive: true });
  await bed.start();
  const connection = await bed.connectMember(east);
  const entry = await last(connection, `mc.put.${east.brokerAccount}.dir.east`);
  t.is(openCertificate(east.pinned, entry).digest, east.own.digest);
  t.is((await joinClusterset({ token, secretsDir: bed.secretsOf('west'), hostNetworks: [] })).index, 2);
});

test('startBroker() takes over what the stream knows when the data directory was put back from an old copy', async (t) => {
  await using bed = await Bed.open();
  await bed.join('east', POD);
  await cp(join(bed.dir, 'members'), join(bed.root, 'old-members'), { recursive: true });
  const west = await bed.join('west', ['10.2.0.0/16']);
  await bed.stop();
  await rm(join(bed.dir, 'members'), { recursive: true });
  await cp(join(bed.root, 'old-members'), join(bed.dir, 'members'), { recursive: true });
  await bed.start();
  await t.notThrowsAsync(bed.connectMember(west));
  t.deepEqual(
    (await listMembers({ dir: bed.dir })).map(({ cluster, index }) => [cluster, index]),
    [
      ['east', 1],
      ['west', 2],
    ],
  );
});

test('joinClusterset() of a member that the broker forgot gets the same account and index again', async (t) => {
  await using bed = await Bed.open();
  await bed.join('east', POD);
  const west = await bed.join('west', ['10.2.0.0/16']);
  await bed.stop();
  await rm(join(bed.dir, 'members'), { recursive: true });
  await rm(join(bed.dir, 'nats'), { recursive: true });
  await mkdir(join(bed.dir, 'members'));
  await bed.start();
  const again = await bed.join('west', ['10.2.0.0/16']);
  t.is(again.own.account, west.own.account);
  t.is(again.own.index, 2);
  t.true(again.own.serial > west.own.serial);
});

test('the agent takes back nothing that it has not given out, and no older word', async (t) => {
  await using bed = await Bed.open();
  const first = await bed.join('east', POD);
  const east = await bed.join('east', ['10.11.0.0/16']);
  const connection = await bed.connectMember(east);
  const { authority } = await bed.keys();
  const certify = (changes: Partial<Certificate>): Uint8Array => {
    const body = {
      ...east.own,
      cluster: parseClusterId('rogue'),
      index: 9,
      podCidrs: [parseCidr('10.9.0.0/16')],
    };
    const identity = SigningKey.generate().publicKey;
    const account = parseAccount(Nkey.generate('account').publicKey);
    return signCertificate(
      authority,
      { ...body, identity, account, serial: Date.now(), ...changes },
      new Date(),
    );
  };
  const handIn = async (bytes: Uint8Array): Promise<string> =>
    (await connection.request('hot', bytes, { timeout: 2_000 })).string();
  t.is(
    await handIn(certify({})),
    '{"ok":false}',
    'signed by the membership key, for an account of somebody else',
  );
  t.is(await handIn(first.own.bytes), '{"ok":false}', 'an older certificate');
  t.is(await handIn(east.own.bytes), '{"ok":true}', 'what it knows already');
  t.is(await handIn(Buffer.from('isthmus-revocation-v1\0')), '{"ok":false}');
  const members = await listMembers({ dir: bed.dir });
  t.deepEqual(
    members.map(({ cluster, podCidrs }) => `${cluster} ${podCidrs.join()}`),
    ['east 10.11.0.0/16'],
  );
});

test('the agent publishes a beacon a second that its membership key signed', async (t) => {
  await using bed = await Bed.open();
  const east = await bed.join('east', POD);
  const connection = await bed.connectMember(east);
  const beacons: Uint8Array[] = [];
  connection.subscribe('mc.evt.beacon', { callback: (_, message) => void beacons.push(message.data) });
  await within(4_000, () => beacons.length === 3);
  const [first, , third] = beacons.map((bytes) => openBeacon(pinRoot(east.root), bytes));
  if (first === undefined || third === undefined) return t.fail('no beacons');
  const passed = third.time - first.time;
  t.true(passed > 1_800 && passed < 2_600, `${passed} ms`);
  t.is(third.session, first.session);
  await connection.request('put.gw.0', 'x');
  return undefined;
});

test('the agent passes a signed record on at once, and nothing that names another account', async (t) => {
  await using bed = await Bed.open();
  const east = await bed.join('east', POD);
  const west = await bed.join('west', ['10.2.0.0/16']);
  const [a, b] = [await bed.connectMember(east), await bed.connectMember(west)];
  const heard: string[] = [];
  b.subscribe('mc.evt.>', {
    callback: (_, message) => void (message.subject === 'mc.evt.beacon' || heard.push(message.subject)),
  });
  await b.flush();
  const record = (account = east.own.account, slot = 'gw.0'): Uint8Array =>
    signRecord(
      {
        clusterset: east.pinned.clusterset,
        cluster: east.own.cluster,
        account,
        kind: 'gw',
        slot,
        schema: 1,
        epoch: 1,
        version: 1,
        content: {},
      },
      east.identity,
      new Date(),
    );
  a.publish('hot', record());
  a.publish('hot', record(west.own.account));
  a.publish('hot', record(east.own.account, 'gw.*'));
  a.publish('hot', record(east.own.account, 'beacon'));
  for (let at = 0; at < 40; at += 1) a.publish('hot', record(east.own.account, 'gw.1'));
  await a.flush();
  await sleep(200);
  t.is(heard.filter((subject) => subject === `mc.evt.${east.own.account}.gw.0`).length, 1);
  t.true(heard.every((subject) => subject.startsWith(`mc.evt.${east.own.account}.`)));
  t.true(heard.length < 40, 'a flood is cut');
});

test('Traffic.weigh() tells who sends more than any member does', async (t) => {
  await using bed = await Bed.open();
  const [a, b] = [await bed.join('east', POD), await bed.join('west', ['10.2.0.0/16'])];
  const [flooding, calm] = [await bed.connectMember(a), await bed.connectMember(b)];
  const { system } = await bed.keys();
  const { user, jwt } = mintUser(system, 'test', agentUser(), { issuedAt: new Date() });
  const traffic = new Traffic(await bed.connect(jwt, user.reveal()));
  t.deepEqual(await traffic.weigh(), [], 'the first look only remembers');
  for (let at = 0; at < 3_000; at += 1) flooding.publish('put.gw.0', 'x');
  await Promise.all([flooding.flush(), calm.request('put.gw.0', 'x')]);
  await sleep(1_000);
  const floods = await traffic.weigh();
  t.deepEqual(
    floods.map(({ account }) => account),
    [a.own.account],
  );
  t.true((floods[0]?.messagesSent ?? 0) > 200);
  await sleep(100);
  t.deepEqual(await traffic.weigh(), [], 'calm again');
});

test('splitRequest() and decodeAnswer() refuse noise and altered bytes in their own words', (t) => {
  const identity = SigningKey.generate();
  const asked = {
    clusterset: 'x',
    token: '00000000000000aa',
    cluster: parseClusterId('east'),
    identity: identity.publicKey,
    user: Nkey.generate('user').publicKey,
    hostNetworks: [],
  };
  const bytes = encodeRequest(asked, identity, 'c2VjcmV0');
  t.deepEqual(splitRequest(bytes).open('c2VjcmV0'), asked);
  t.throws(() => splitRequest(bytes).open('b3RoZXI'), { instanceOf: Refused });
  const open = (some: Uint8Array): void => void splitRequest(some).open('c2VjcmV0');
  fc.assert(
    fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const altered = Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ flip : byte));
      t.throws(() => open(altered), { instanceOf: Refused });
    }),
    SEED,
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
      t.throws(() => open(noise), { instanceOf: Refused });
      t.throws(() => decodeAnswer(noise), { instanceOf: SyntaxError });
    }),
    SEED,
  );
});

/** What the stream holds of a subject, read as a member does. */
async function last(connection: NatsConnection, subject: string): Promise<Uint8Array> {
  return (await connection.request('mc.get', JSON.stringify({ last_by_subj: subject }))).data;
}
