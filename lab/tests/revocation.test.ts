import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Capture,
  createClusterset,
  findLeftovers,
  issueToken,
  joinSite,
  Lab,
  leaveSite,
  measureMatrix,
  startBroker,
  startDaemon,
  startDaemons,
  stopBroker,
  stopDaemons,
} from '#lab';
import { GATEWAY_HTTP_PORT } from '#lib/constants';
import { CommandError } from '#lib/linux';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { kernels, Stillness } from './stillness.ts';

// One lab for all; each test leaves it as the next one finds it.
const name = `r${process.pid % 100_000}`;
let lab: Lab;

const DATA = '/var/lib/isthmus/broker';
const PATIENCE_MS = 60_000;
/** The promise is a second. What is asserted leaves room for a machine that has ten other things to do. */
const CUT_OFF_MS = 5000;
/** Addresses with a lifetime count down; everything else stands still. */
const HOST = `for what in link address route rule nexthop; do ip -d -o $what; ip -6 -d -o $what; done | sed -E 's/(valid|preferred)_lft [^ ]+//g; s/_timer +[0-9.]+//g'
ip -d -o route show table all; ip -6 -d -o route show table all
nft -s list ruleset
find /proc/sys/net -type f | grep -v -e /neigh/ -e random/ -e nf_conntrack_count | sort | while read f; do echo "$f $(cat $f 2>/dev/null)"; done`;
/** Never lowered: somebody else may rely on it by now. */
const KEPT = /(ip_forward|forwarding|accept_ra) /;
/** Exit code of docs/reference/cli.md. */
const REFUSED = 3;
const UNREACHABLE = 4;
/** What each statement of the thief is refused for. */
const CODES = [
  'bad-signature',
  'wrong-account',
  'older',
  'equivocation',
  'outside-certificate',
  'unknown-schema',
  'oversized',
  'malformed',
  'wrong-slot',
];

async function eventually(t: ExecutionContext, what: string, probe: () => Promise<boolean>): Promise<number> {
  const began = performance.now();
  while (!(await probe())) {
    if (performance.now() - began > PATIENCE_MS) throw new Error(`Waited in vain until ${what}`);
    await sleep(50);
  }
  const ms = Math.round(performance.now() - began);
  t.log(`${ms} ms until ${what}`);
  return ms;
}

/** stdout, or what it said instead with its exit code. */
async function run(place: string, argv: readonly [string, ...string[]], input = ''): Promise<string> {
  try {
    return await lab.place(place).exec(argv, { input });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return `exit ${error.exitCode}: ${error.stderr.trim().split('\n').at(-1)}`;
  }
}

function broker(...argv: readonly string[]): Promise<string> {
  return run('broker', ['clusterctl', 'broker', ...argv]);
}

async function conditions(place: string): Promise<string> {
  return await run(place, ['clusterctl', 'show', 'conditions', '-o', 'json']);
}

/** Whether WireGuard devices of east and north hold a peer for west's pods. */
async function hasPeers(cidr = '10.2.0.0/16'): Promise<boolean> {
  const texts = await Promise.all(
    ['east/gw-0', 'north/gw-0'].map((place) => run(place, ['wg', 'show', 'all', 'allowed-ips'])),
  );
  return texts.some((text) => text.includes(cidr));
}

/** Of everybody's pods with everybody else's. */
async function reached(sites?: readonly string[]): Promise<{ readonly kept: number; readonly of: number }> {
  const pairs = await measureMatrix(lab, { ...(sites && { sites }), timeoutMs: 1000 });
  return { kept: pairs.filter((pair) => pair.kept).length, of: pairs.length };
}

async function connects(sites?: readonly string[]): Promise<boolean> {
  const { kept, of } = await reached(sites);
  return kept === of;
}

/** What the other sites' kernels hold. */
async function peers(): Promise<readonly (readonly [string, string])[]> {
  return [...(await kernels(lab))].filter(([place]) => !place.startsWith('west/'));
}

/** The gateways of east and north have heard all that the broker has. */
async function areSynced(): Promise<boolean> {
  const states = await Promise.all(['east/gw-0', 'north/gw-0'].map(stateOf));
  return states.every((state) => state.includes('"synced":true'));
}

/** A gateway's /state, as it is written. */
function stateOf(place: string): Promise<string> {
  const url = `http://127.0.0.1:${GATEWAY_HTTP_PORT}/state`;
  return run(place, [
    process.execPath,
    '-e',
    `fetch('${url}').then(async (r) => console.log(await r.text()))`,
  ]);
}

/** Everything of a site's hosts that a cluster which leaves has to leave as it was. */
async function hosts(site: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const texts = lab
    .site(site)
    .nodes.map(async ({ place }) => [place, (await run(place, ['sh', '-c', HOST])).split('\n')] as const);
  return new Map(await Promise.all(texts));
}

function address(end: string, family: 'v4' | 'v6'): string {
  const found = lab.pod(end).end.addresses[family];
  if (found === undefined) throw new RangeError(`${end} has no ${family}`);
  return found;
}

let pristine: ReadonlyMap<string, readonly string[]> = new Map();

test.before(async (t) => {
  const site = { gateways: 1, workers: 1, podsPerWorker: 1, podsPerGateway: 0, hostProcesses: 0 };
  const sites = { east: site, west: site, north: { ...site, workers: 0, podsPerGateway: 1 } };
  lab = await Lab.up({ sites }, { name });
  pristine = await hosts('north');
  await createClusterset(lab);
  for (const each of lab.layout.sites) {
    await joinSite(lab, each.name);
    await startDaemons(lab, each.name);
  }
  await eventually(t, 'all are connected', connects);
});

test.after.always(async () => {
  await Lab.down(name);
});

test('clusterctl broker revoke cuts a member off at the broker and in the kernels of all its peers', async (t) => {
  await using clear = await Capture.start(lab, { filter: 'net 10.0.0.0/8 or net fd10::/16' });
  await using others = await Stillness.begin(lab, [['east/pod-a', address('north/pod-a', 'v4')]]);
  await using sends = await Stillness.begin(lab, [['east/pod-a', address('west/pod-a', 'v4')]]);
  const began = performance.now();
  const revoking = broker('revoke', 'west', '--yes', '--reason', 'stolen').then((said) => ({
    said,
    ms: performance.now() - began,
  }));
  while (await hasPeers()) await sleep(5);
  const gone = performance.now() - began;
  const command = await revoking;
  t.is(command.said, '');
  const after = Math.max(0, gone - command.ms);
  t.log(`${Math.round(command.ms)} ms the command, ${Math.round(after)} ms more until no kernel has a peer`);
  t.true(after < CUT_OFF_MS);
  const cut = await eventually(t, 'west says that it is out', async () =>
    /IST_MEMBERSHIP_REVOKED|IST_BROKER_UNREACHABLE/.test(await conditions('west/gw-0')),
  );
  t.true(cut < CUT_OFF_MS);
  t.is((await others.end()).lost, 0, 'everybody else goes on');
  t.true((await sends.end()).lost > 0);
  t.deepEqual(await clear.stop(), [], 'nothing for west leaves in the clear');
  t.regex(await run('east/worker-1', ['ip', 'route', 'get', '10.2.1.2']), /unreachable|exit 2/i);
  t.regex(await broker('members'), /west\s+held/);
});

test('A revoked member stays out over restarts of the broker, of its peers and of itself', async (t) => {
  const wanted = await peers();
  const isOut = async (when: string): Promise<void> => {
    await eventually(t, `all have heard the broker ${when}`, areSynced);
    t.deepEqual(await peers(), wanted, when);
    t.is((await reached(['east', 'west'])).kept, 0, when);
  };
  await stopBroker(lab);
  await startBroker(lab);
  await isOut('after its restart');
  await stopBroker(lab);
  await run('broker', ['rm', '-r', `${DATA}/nats`]);
  await stopDaemons(lab, 'east', 'SIGKILL');
  await startDaemons(lab, 'east');
  await eventually(t, 'east works without the broker', async () =>
    (await stateOf('east/gw-0')).includes('"state":"up"'),
  );
  t.deepEqual(await peers(), wanted, 'while the broker was away');
  await startBroker(lab);
  await isOut('after its server lost everything');
  await stopDaemons(lab, 'west');
  await startDaemons(lab, 'west');
  await eventually(t, 'west says that it is not let in', async () =>
    (await conditions('west/gw-0')).includes('IST_BROKER_UNREACHABLE'),
  );
  await isOut('after a restart of who was revoked');
});

test('A revoked cluster comes back as the reference says: freed by the root, with a new token and a new identity', async (t) => {
  const join = (token: string, ...more: readonly string[]): Promise<string> =>
    run('west/gw-0', ['clusterctl', 'join', '--token-file', '-', ...more], token);
  const token = await issueToken(lab, 'west');
  t.regex(
    await join(token),
    new RegExp(`^exit ${REFUSED}: .*identity key belongs to a membership that ended`),
  );
  t.regex(await join(token, '--secrets', '/run/new'), new RegExp(`^exit ${REFUSED}: .*--root-key`));
  t.is(await broker('revoke', 'west', '--yes', '--root-key', `${DATA}/offline/root.key`), '');
  t.regex(await broker('members'), /west\s+revoked/);
  t.regex(
    await join(token),
    new RegExp(`^exit ${REFUSED}: .*identity key belongs to a membership that ended`),
  );

  await stopDaemons(lab, 'west');
  t.regex(await run('west/gw-0', ['clusterctl', 'leave', '--yes']), /it was revoked.*--force/);
  t.is(await run('west/gw-0', ['clusterctl', 'leave', '--yes', '--force']), '');
  t.is(await run('west/worker-1', ['clusterctl', 'leave', '--yes', '--host-only']), '');
  t.deepEqual(
    (await findLeftovers(lab, 'west')).filter((line) => line.startsWith('west/')),
    [],
  );
  t.is(await join(token), '');
  await startDaemons(lab, 'west');
  await eventually(t, 'all are connected again', connects);
  t.regex(await broker('members'), /west\s+member/);
});

test('What a thief says with a stolen membership is refused by all, reported, and changes nothing', async (t) => {
  const before = await peers();
  const program = path.join(import.meta.dirname, 'thief.ts');
  const said = await run('west/gw-0', [process.execPath, program, 'east']);
  t.deepEqual(JSON.parse(said), { said: 9, violations: 4 });
  for (const place of ['east/gw-0', 'north/gw-0']) {
    // The first statement was replaced at once by its owner, the last stands where nobody puts anything else.
    for (const code of ['bad-signature', 'wrong-slot']) {
      await eventually(t, `${place} reports ${code}`, async () =>
        new RegExp(`IST_RECORD_REFUSED[^}]*west[^}]*${code}`).test(await conditions(place)),
      );
    }
    const state = await stateOf(place);
    for (const code of CODES) {
      t.regex(state, new RegExp(`"refused":\\{[^}]*"${code}":[1-9]`), `${place} counts ${code}`);
    }
  }
  t.deepEqual(await peers(), before);
  t.true(await connects());
});

test('A cluster that leaves leaves nothing: on its hosts all is as it was, and all others forget it', async (t) => {
  await leaveSite(lab, 'north');
  await eventually(
    t,
    'nobody holds anything of it',
    async () => (await findLeftovers(lab, 'north')).length === 0,
  );
  const after = await hosts('north');
  for (const [place, lines] of pristine) {
    const found = after.get(place) ?? [];
    t.deepEqual(
      found.filter((line) => !lines.includes(line) && !KEPT.test(line)),
      [],
      `${place}: new`,
    );
    t.deepEqual(
      lines.filter((line) => !found.includes(line) && !KEPT.test(line)),
      [],
      `${place}: gone`,
    );
  }
  t.true(await connects(['east', 'west']));
});

test('A join that a slow or dying broker cuts off is finished by the same command', async (t) => {
  const token = await issueToken(lab, 'north');
  const join = (): Promise<string> => run('north/gw-0', ['clusterctl', 'join', '--token-file', '-'], token);
  // The server answers, and the agent behind it does not: the request lies there, and may be granted when nobody waits any more.
  await lab.kill({ role: 'broker' }, 'SIGSTOP');
  t.regex(await join(), new RegExp(`^exit ${UNREACHABLE}: .*does not answer`));
  await lab.kill({ role: 'broker' }, 'SIGCONT');
  const dying = join();
  await sleep(400);
  await lab.kill({ role: 'broker' }, 'SIGKILL');
  await startBroker(lab);
  const ended = await dying;
  t.true(ended === '' || ended.startsWith(`exit ${UNREACHABLE}: `), ended);
  t.is(await join(), '');
  await startDaemon(lab, 'north/gw-0');
  await eventually(t, 'all are connected again', connects);
});
