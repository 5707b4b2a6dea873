import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import {
  createClusterset,
  issueToken,
  joinSite,
  Lab,
  startBroker,
  startDaemons,
  stopBroker,
  stopDaemons,
} from '#lab';
import { CommandError } from '#lib/linux';

// One lab for all: every refusal has to leave it as it was, and the next test finds out.
const name = `j${process.pid % 100_000}`;
let lab: Lab;

const CHECKOUT = path.join(import.meta.dirname, '..', '..');
/** Exit codes of docs/reference/cli.md. */
const USAGE = 2;
const REFUSED = 3;
const UNREACHABLE = 4;
const INCAPABLE = 5;

interface Ended {
  readonly code: number | null;
  readonly said: string;
}

async function run(place: string, argv: readonly [string, ...string[]], input = ''): Promise<Ended> {
  try {
    await lab.place(place).exec(argv, { input });
    return { code: 0, said: '' };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    // The steps of a join stand before what went wrong.
    return { code: error.exitCode, said: error.stderr.trim().split('\n').at(-1) ?? '' };
  }
}

function join(token: string, ...more: readonly string[]): Promise<Ended> {
  return run('east/gw-0', ['clusterctl', 'join', '--token-file', '-', ...more], token);
}

async function token(cluster: string, cidr: string, ttl = '1h'): Promise<string> {
  const argv = [
    'clusterctl',
    'broker',
    'token',
    '--cluster',
    cluster,
    '--pod-cidr',
    cidr,
    '--ttl',
    ttl,
  ] as const;
  return (await lab.place('broker').exec(argv)).trim();
}

/** What a refused join could leave behind on the host. */
async function traces(): Promise<string> {
  const script =
    'ls -A /var/lib/isthmus/secrets; ip -br link | grep ist; ip nexthop; ip rule | grep -v from.all.lookup; true';
  return (await lab.place('east/gw-0').exec(['sh', '-c', script])).trim();
}

test.before(async () => {
  lab = await Lab.up(
    { sites: { east: { gateways: 1, workers: 1 }, west: { gateways: 1, workers: 1 } } },
    { name },
  );
  await createClusterset(lab);
  await joinSite(lab, 'west');
});

test.after.always(async () => {
  await Lab.down(name);
});

test.afterEach(async (t) => {
  if (t.title.includes('refuses')) t.is(await traces(), '', 'a refusal leaves nothing behind');
});

test('clusterctl join refuses a token that is foreign, cut off, altered, of another cluster or expired', async (t) => {
  const good = await issueToken(lab, 'east');
  const other = await token('north', '10.9.0.0/16');
  const expiring = await token('east', '10.1.0.0/16,fd10:1::/32', '1s');
  await sleep(1100);
  const at = good.length - 40;
  const altered = `${good.slice(0, at)}${good[at] === 'A' ? 'B' : 'A'}${good.slice(at + 1)}`;
  for (const [text, code, reason] of [
    ['hello', USAGE, /it is not a join token of Isthmus/],
    [good.slice(0, -50), USAGE, /its end is missing/],
    [altered, USAGE, /it was altered on its way here/],
    [other, REFUSED, /it is for the cluster "north", and this one is "east"/],
    [expiring, REFUSED, /it expired at/],
  ] as const) {
    const ended = await join(text);
    t.is(ended.code, code, ended.said);
    t.regex(ended.said, reason);
    t.regex(ended.said, /clusterctl broker token/);
  }
});

test('clusterctl join refuses a token for other CIDRs than site.yaml has, and says which command makes a fitting one', async (t) => {
  const ended = await join(await token('east', '10.77.0.0/16'));
  t.is(ended.code, REFUSED, ended.said);
  t.regex(
    ended.said,
    /its pod CIDRs are 10\.1\.0\.0\/16, fd10:1::\/32 in site\.yaml, and the token is for 10\.77\.0\.0\/16/,
  );
  t.regex(
    ended.said,
    /clusterctl broker token --cluster east --pod-cidr 10\.1\.0\.0\/16 --pod-cidr fd10:1::\/32$/,
  );
});

test("clusterctl broker token refuses CIDRs that overlap a member's, the fabric's or each other", async (t) => {
  for (const [cidr, reason] of [
    ['10.2.3.0/24', /10\.2\.3\.0\/24 overlaps 10\.2\.0\.0\/16 of "west"/],
    ['100.64.9.0/24', /overlaps the clusterset's fabric/],
    ['10.5.0.0/16,10.5.6.0/24', /overlap/],
  ] as const) {
    const argv = ['clusterctl', 'broker', 'token', '--cluster', 'north', '--pod-cidr', cidr] as const;
    const ended = await run('broker', argv);
    t.not(ended.code, 0);
    t.regex(ended.said, reason);
  }
});

test('clusterctl join refuses a host without root, without wg, or with a taken port', async (t) => {
  const good = await issueToken(lab, 'east');
  // Nobody to the program, and to the kernel still one who may read the checkout, wherever it lies.
  const nobody = await run(
    'east/gw-0',
    ['unshare', '--user', 'clusterctl', 'join', '--token-file', '-'],
    good,
  );
  t.is(nobody.code, INCAPABLE, nobody.said);
  t.regex(nobody.said, /it needs root/);

  const program = [`${CHECKOUT}/.cache/bin/node`, `${CHECKOUT}/.cache/dist/clusterctl.mjs`] as const;
  const bare = await run(
    'east/gw-0',
    ['env', 'PATH=/usr/sbin:/sbin', ...program, 'join', '--token-file', '-'],
    good,
  );
  t.is(bare.code, INCAPABLE, bare.said);
  t.regex(bare.said, /Cannot find "wg": it comes with wireguard-tools/);

  const listen =
    "require('node:dgram').createSocket('udp4').bind(51823, () => setTimeout(() => process.exit(), 20000))";
  const squatter = await lab.place('east/gw-0').spawn({ role: 'squatter', argv: ['node', '-e', listen] });
  t.truthy(squatter.log);
  await sleep(500);
  const taken = await join(good);
  await lab.kill({ role: 'squatter' });
  t.is(taken.code, INCAPABLE, taken.said);
  t.regex(taken.said, /UDP port 51823 is in use on this host/);
});

test("clusterctl join refuses a host that already reaches another member's CIDR in its own way", async (t) => {
  const gateway = lab.place('east/gw-0');
  await gateway.exec(['ip', 'link', 'add', 'office', 'type', 'bridge']);
  await gateway.exec(['ip', 'address', 'add', '10.2.50.1/24', 'dev', 'office']);
  // Without ports it has no carrier, as docker0 without containers; it is a network of this host all the same.
  await gateway.exec(['ip', 'link', 'set', 'office', 'up']);
  const ended = await join(await issueToken(lab, 'east'));
  await gateway.exec(['ip', 'link', 'delete', 'office']);
  t.is(ended.code, REFUSED, ended.said);
  t.regex(ended.said, /the host's network 10\.2\.50\.0\/24 overlaps 10\.2\.0\.0\/16, "west"/);
});

test('clusterctl join says that the broker cannot be reached, and the same command works when it can', async (t) => {
  const good = await issueToken(lab, 'east');
  await stopBroker(lab);
  const away = await join(good);
  t.is(away.code, UNREACHABLE, away.said);
  t.regex(away.said, /the broker at tls:\/\/.* does not answer within/);
  t.is(await traces(), '');
  await startBroker(lab);
  t.deepEqual(await join(good), { code: 0, said: '' });
});

test('clusterctl join joins once with a token; again it renews, and another identity is refused', async (t) => {
  const good = await issueToken(lab, 'east');
  t.deepEqual(await join(good), { code: 0, said: '' });
  t.deepEqual(await join(good), { code: 0, said: '' });
  const thief = await join(good, '--secrets', '/run/thief');
  t.is(thief.code, REFUSED, thief.said);
  t.regex(thief.said, /the token was used already/);
  const usurper = await join(await issueToken(lab, 'east'), '--secrets', '/run/thief');
  t.is(usurper.code, REFUSED, usurper.said);
  t.regex(usurper.said, /Cannot join "east"/);
});

test('clusterctl leave removes everything from its host while the daemon runs, and a new token brings the cluster back', async (t) => {
  await startDaemons(lab, 'east');
  const shows = ['clusterctl', 'show', 'clusters'] as const;
  for (let tries = 0; (await run('east/gw-0', shows)).code !== 0 && tries < 100; tries += 1) await sleep(100);
  t.deepEqual(await run('east/gw-0', ['clusterctl', 'plan']), { code: 0, said: '' });
  t.deepEqual(await run('east/gw-0', ['clusterctl', 'leave', '--yes']), { code: 0, said: '' });
  t.is(await traces(), '');
  const worker = await lab.place('east/worker-1').exec(['ip', 'rule']);
  t.notRegex(worker, /730\d/, 'the worker learns it from the site directory');
  await stopDaemons(lab, 'east');
  t.deepEqual(await join(await issueToken(lab, 'east')), { code: 0, said: '' });
});
