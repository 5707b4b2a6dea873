import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { laneKeys } from '#host';
import { gatewayState, hear, serveState } from './bed.ts';
import { drain } from './drain.ts';
import { CliError, EXIT } from './exit.ts';
import { noKeys, rotateKeys } from './rotate-keys.ts';
import { runCli } from './run.ts';

interface Ended {
  readonly code: number;
  readonly said: string;
}

async function clusterctl(...words: readonly string[]): Promise<Ended> {
  const { context, said } = hear();
  const code = await runCli(context, words);
  return { code, said: said.map((line) => `${line}\n`).join('') };
}

async function directory(t: ExecutionContext, files: Readonly<Record<string, string>> = {}): Promise<string> {
  const made = await mkdtemp(path.join(tmpdir(), 'isthmus-maintenance-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(made, name), text);
  return made;
}

const DRAINS = 'drains.yaml';

async function drainsOf(site: string): Promise<string> {
  return await readFile(path.join(site, DRAINS), 'utf8').catch(() => '');
}

test('clusterctl drain writes what is drained, waits until the daemon knows and nothing passes, and refuses to cut the last path', async (t) => {
  const site = await directory(t);
  const now = { carries: ['west'], relief: [2], rests: { gateway: false, clusters: [] as string[] } };
  let healthy = ['west/0#0'];
  let looks = 0;
  await using server = await serveState(() => gatewayState({ ...now, looks: (looks += 1) }, { healthy }));
  const options = ['--site', site, '--status-port', String(server.port)];
  let isDone = false;
  const draining = clusterctl('drain', 'gateway', ...options).finally(() => (isDone = true));
  while (!(await drainsOf(site)).includes('gw-0')) await delay(20);
  now.carries = [];
  await delay(3000);
  t.false(isDone, 'nothing passes, and the daemon does not know that it drains');
  now.rests.gateway = true;
  const drained = await draining;
  t.is(drained.code, 0, drained.said);
  t.regex(drained.said, /Nothing passes gateway gw-0 any more\. .*: clusterctl undrain gateway$/m);
  t.is((await clusterctl('undrain', 'gateway', 'gw-0', ...options)).code, 0);
  t.false((await drainsOf(site)).includes('gw-0'));
  now.relief = [];
  const last = await clusterctl('drain', 'gateway', ...options);
  t.is(last.code, EXIT.refused);
  t.is(
    last.said,
    'Cannot drain gateway "gw-0": no other gateway that stays leads to west. Do it all the same with --force\n',
  );
  t.is((await clusterctl('drain', 'cluster', 'west', ...options)).code, EXIT.refused);
  t.is((await clusterctl('drain', 'cluster', 'nowhere', ...options)).code, EXIT.usage);
  t.is((await clusterctl('drain', 'gateway', 'gw-1', ...options)).code, EXIT.usage);
  t.is((await clusterctl('drain', 'gateway', '--node', 'gw-1', ...options)).code, EXIT.usage);
  t.false((await drainsOf(site)).includes('west'));
  [healthy, now.relief] = [[], [2]];
  const byOthers = await clusterctl('drain', 'cluster', 'west', ...options);
  t.is(byOthers.code, EXIT.refused, 'all gateways of a site read the same file');
  now.rests.clusters = ['west'];
  t.is((await clusterctl('drain', 'cluster', 'west', '--force', ...options)).code, 0);
  t.true((await drainsOf(site)).includes('west'));
});

test('clusterctl drain says which gateway drains already, also one that has not told yet', async (t) => {
  const site = await directory(t, { [DRAINS]: 'gateways: [gw-1]\nclusters: []\n' });
  await using server = await serveState(() =>
    gatewayState({ carries: [], looks: 1, relief: [2], rests: { gateway: false, clusters: [] } }),
  );
  const ended = await clusterctl('drain', 'gateway', '--site', site, '--status-port', String(server.port));
  t.deepEqual(ended, {
    code: EXIT.refused,
    said: 'Cannot drain gateway "gw-0": no other gateway that stays leads to west, for gw-1 drains. Take that back first (clusterctl undrain gateway gw-1), or do it all the same with --force\n',
  });
});

test('drain() fails where the daemon reads another directory, and where packets still pass', async (t) => {
  const site = await directory(t);
  const now = { carries: ['west'], relief: [2], rests: { gateway: false, clusters: [] as string[] } };
  await using server = await serveState(() => gatewayState({ ...now, looks: 7 }));
  const options = { site, statusPort: server.port, patienceMs: 1200, force: true };
  const failure = async (what: 'gateway' | 'cluster', name?: string): Promise<CliError> => {
    const thrown = await t.throwsAsync(drain(hear().context, { what, name }, options));
    if (!(thrown instanceof CliError)) throw new TypeError('another error', { cause: thrown });
    return thrown;
  };
  const unread = await failure('gateway');
  t.is(unread.exitCode, EXIT.failed);
  t.is(
    unread.message,
    `Cannot drain gateway "gw-0": its daemon has not read it from "${site}". Say by --site which directory it uses`,
  );
  t.false((await drainsOf(site)).includes('gw-0'), 'nothing is left behind');
  now.rests = { gateway: true, clusters: ['west'] };
  const busy = await failure('gateway');
  t.is(busy.exitCode, EXIT.failed);
  t.regex(
    busy.message,
    /^Cannot see gateway "gw-0" empty: packets of west still pass after 1\.2 s\. They are of this host's own pods.* or of a cluster that has no other way\. It stays drained; the same command waits anew$/,
  );
  t.true((await drainsOf(site)).includes('gw-0'));
  t.regex((await failure('cluster', 'west')).message, /: packets of west still pass .* west itself goes on/);
  now.carries = [];
  t.regex(
    (await failure('gateway')).message,
    /: its daemon has not looked often enough in 1\.2 s at what passes\./,
  );
});

test('clusterctl drain and undrain make no site directory', async (t) => {
  const site = path.join(await directory(t), 'none');
  await using server = await serveState(() =>
    gatewayState({ carries: [], looks: 1, relief: [2], rests: { gateway: true, clusters: [] } }),
  );
  for (const command of ['drain', 'undrain']) {
    const ended = await clusterctl(
      command,
      'gateway',
      '--site',
      site,
      '--status-port',
      String(server.port),
      '--node',
      'gw-0',
    );
    t.deepEqual(ended, {
      code: EXIT.usage,
      said: `Cannot ${command} gateway "gw-0": there is no directory "${site}". Say by --site which one the gateway uses\n`,
    });
  }
  await t.throwsAsync(readdir(site), { code: 'ENOENT' });
});

test('clusterctl drain and undrain lose none of many commands at once', async (t) => {
  const names = ['gw-2', 'gw-3', 'gw-4'];
  const site = await directory(t, { [DRAINS]: `gateways: [${names.join(', ')}]\nclusters: [west]\n` });
  const done = await Promise.all([
    ...names.map((name) => clusterctl('undrain', 'gateway', name, '--site', site)),
    clusterctl('undrain', 'cluster', 'west', '--site', site),
  ]);
  t.deepEqual(
    done.map(({ code }) => code),
    [0, 0, 0, 0],
  );
  t.regex(await drainsOf(site), /gateways: \[\]\nclusters: \[\]/);
});

test('clusterctl undrain needs no daemon, and says what was not drained', async (t) => {
  const site = await directory(t, { [DRAINS]: 'gateways: [gw-0, gw-1]\nclusters: [west]\n' });
  const options = ['--site', site, '--status-port', '1'];
  for (const [words, said] of [
    [['gateway', '--node', 'gw-0'], 'gateway gw-0 is in use again'],
    [['gateway', 'gw-0'], 'gateway gw-0 was not drained. Drained: gw-1'],
    [['gateway', 'gw-1'], 'gateway gw-1 is in use again'],
    [['cluster', 'west'], 'cluster west is in use again'],
    [['cluster', 'west'], 'cluster west was not drained'],
    [['gateway'], `gateway ${hostname()} was not drained`],
  ] as const) {
    const ended = await clusterctl('undrain', ...words, ...options);
    t.deepEqual([ended.code, ended.said], [EXIT.ok, `${said}\n`]);
  }
  t.regex(await drainsOf(site), /gateways: \[\]/);
});

test('clusterctl undrain fails where it guessed the name of this gateway, and another one is drained', async (t) => {
  const site = await directory(t, { [DRAINS]: 'gateways: [gw-of-another-name]\nclusters: []\n' });
  const ended = await clusterctl('undrain', 'gateway', '--site', site, '--status-port', '1');
  t.is(ended.code, EXIT.usage);
  t.regex(
    ended.said,
    /: it is not drained, .*\. Drained: gw-of-another-name\. Say which: clusterctl undrain gateway NAME\n$/,
  );
  t.true((await drainsOf(site)).includes('gw-of-another-name'));
});

test('clusterctl drain and undrain say that the name of a cluster is missing', async (t) => {
  const site = await directory(t);
  await using server = await serveState(() =>
    gatewayState({ carries: [], looks: 1, relief: [2], rests: { gateway: false, clusters: [] } }),
  );
  for (const command of ['drain', 'undrain']) {
    t.deepEqual(await clusterctl(command, 'cluster', '--site', site, '--status-port', String(server.port)), {
      code: EXIT.usage,
      said: `Cannot ${command} a cluster: its name is missing. They are listed by: clusterctl show clusters\n`,
    });
  }
});

test('clusterctl drain and rotate-keys tell a worker, a cluster that has not joined, and another version apart', async (t) => {
  let said: object = {};
  await using server = await serveState(() => said);
  const port = String(server.port);
  for (const words of [['drain', 'gateway'], ['rotate-keys']]) {
    for (const [state, code, reason] of [
      [
        gatewayState({ component: 'route-agent' }),
        EXIT.unreachable,
        /from this host: no gateway daemon answers/,
      ],
      [{ component: 'gateway', node: 'gw-0' }, EXIT.failed, /: its daemon knows no clusterset: /],
      [gatewayState({}), EXIT.failed, /: its daemon is of another version\. See: clusterctl version/],
    ] as const) {
      said = state;
      const ended = await clusterctl(...words, '--status-port', port);
      t.is(ended.code, code, ended.said);
      t.regex(ended.said, reason);
    }
  }
});

test('noKeys() takes only a directory that is not there for the wrong one', (t) => {
  const failed = (code: string): Error => Object.assign(new Error(`${code}: no`), { code });
  t.is(noKeys(failed('ENOENT')), 0);
  t.throws(() => noKeys(failed('EACCES')), { code: 'EACCES' });
});

/** A daemon with lanes of these keys; those below `done` have new ones. */
interface Rotating {
  connected: boolean;
  only: readonly (readonly string[])[];
  up: boolean;
  done: number;
}

function rotatingState(keys: readonly { readonly publicKey: string }[], now: Rotating): object {
  return gatewayState({
    broker: { connected: now.connected },
    lanes: keys.map(({ publicKey }, lane) => ({
      lane,
      publicKey: lane < now.done ? `new ${lane}` : publicKey,
      rotation: lane < now.done ? 'idle' : 'wished',
      only: now.only[lane] ?? [],
    })),
    tunnels: [{ id: 'west/0#0', up: now.up }],
  });
}

test('clusterctl rotate-keys sets back the times of key files, waits for each lane, and refuses to cut the last path', async (t) => {
  const stateDir = await directory(t);
  const { keys } = await laneKeys(stateDir, 2);
  const times = async (): Promise<number[]> =>
    await Promise.all(
      [0, 1].map(async (lane) => (await stat(path.join(stateDir, `wireguard/lane-${lane}.key`))).mtimeMs),
    );
  const wished = async (...wanted: readonly number[]): Promise<void> => {
    while (String(await times()) !== String(wanted)) await delay(20);
  };
  const now: Rotating = { connected: true, only: [], up: true, done: 0 };
  await using server = await serveState(() => rotatingState(keys, now));
  const rotate = (...more: string[]): Promise<Ended> =>
    clusterctl('rotate-keys', '--state', stateDir, '--status-port', String(server.port), ...more);

  now.connected = false;
  t.is((await rotate()).code, EXIT.unreachable);
  now.connected = true;
  now.only = [[], ['west']];
  const last = await rotate();
  t.is(last.code, EXIT.refused);
  t.regex(
    last.said,
    /^Cannot rotate the keys of "gw-0": nothing stands in for its lanes on the way to west /,
  );
  t.true(Math.min(...(await times())) > 86_400_000, 'nothing is asked for');
  const forcing = t.throwsAsync(
    rotateKeys(hear().context, { state: stateDir, statusPort: server.port, force: true, proofMs: 600 }),
  );
  await wished(86_400_000, 0);
  Object.assign(now, { done: 2, up: false });
  t.regex((await forcing)?.message ?? '', /got new keys, and by them west\/0#0 does not answer\./);

  Object.assign(now, { only: [], up: true, done: 0 });
  const rotating = rotate('--force');
  await wished(86_400_000, 86_400_000);
  Object.assign(now, { done: 1, up: false });
  await delay(400);
  now.done = 2;
  await delay(800);
  now.up = true;
  const rotated = await rotating;
  t.is(rotated.code, 0, rotated.said);
  t.is(
    rotated.said,
    'Giving lane 0 a new key\nGiving lane 1 a new key\n2 lanes of gateway gw-0 got new keys, and all tunnels that answered before (1) answer by them\n',
  );
  Object.assign(now, { done: 0 });
  const interruption = new AbortController();
  const { context, said } = hear({ signal: interruption.signal });
  const interrupted = runCli(context, [
    'rotate-keys',
    '--state',
    stateDir,
    '--status-port',
    String(server.port),
  ]);
  while (said.length === 0) await delay(20);
  interruption.abort();
  t.is(await interrupted, EXIT.interrupted);
  t.deepEqual(said.slice(-2), [
    'The gateway goes on with it by itself',
    'Interrupted. What was done until then stays done',
  ]);
  const nowhere = await clusterctl(
    'rotate-keys',
    '--state',
    '/nowhere',
    '--status-port',
    String(server.port),
  );
  t.is(nowhere.code, EXIT.usage);
  t.regex(nowhere.said, /^Cannot rotate the lane keys in "\/nowhere": there is none\. Say by --state /);
});
