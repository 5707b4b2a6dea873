import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as v from 'valibot';
import { hear, serveState } from './bed.ts';
import { EXIT } from './exit.ts';
import { runCli } from './run.ts';

const AT = '2026-01-01T00:00:00Z';
const MTU = { at: AT, to: '1420', text: 'largest packet that arrives' };
const ANSWERS = { at: AT, to: 'up', text: 'the first probe is answered' };

/** Why each path is as it is, as `show paths` says. */
async function reasons(paths: readonly object[], more: object = {}): Promise<Record<string, unknown>> {
  const own = { id: 'east', index: 1, podCidrs: [], serviceCidrs: [], nodes: [] };
  const state = (): object => ({
    fleet: { fabric: {}, own, remotes: [] },
    host: { node: 'gw-0', healthy: [] },
    paths,
    ...more,
  });
  await using server = await serveState(state);
  const { context, out } = hear();
  await runCli(context, ['show', 'paths', '-o', 'json', '--status-port', String(server.port)]);
  const rows = v.parse(v.array(v.looseObject({ path: v.string() })), JSON.parse(out.join('')));
  return Object.fromEntries(rows.map((row) => [row.path, row['why']]));
}

test('clusterctl show paths says why a path came into its state, whatever else changed since', async (t) => {
  t.deepEqual(
    await reasons([
      { id: 'west/0#0', state: 'up', used: true, changes: [ANSWERS, MTU] },
      { id: 'west/1#0', state: 'unknown', used: false, changes: [MTU] },
    ]),
    { 'west/0#0': ANSWERS.text, 'west/1#0': undefined },
  );
});

test('clusterctl show paths calls a cluster drained where the daemon says so, and nowhere else', async (t) => {
  const unused = { state: 'up', used: false, changes: [ANSWERS] };
  const paths = [
    { id: 'west/0#0', ...unused },
    { id: 'north/0#0', ...unused },
    { id: 'north/1#0', ...unused, deaf: true },
  ];
  const last = { 'north/0#0': 'not in use yet', 'north/1#0': 'not used: its gateway forwards nothing' };
  t.deepEqual(await reasons(paths, { rests: { gateway: false, clusters: ['west'] } }), {
    'west/0#0': 'not used: its cluster is drained here',
    ...last,
  });
  t.deepEqual(await reasons(paths), { 'west/0#0': 'not in use yet', ...last });
});

const FILES = {
  'site.yaml': `cluster: east
podCIDRs: [10.1.0.0/16]
nodes:
  - { name: gw-0, role: gateway, ordinal: 0, addresses: [192.0.2.10], endpoint: { addresses: [203.0.113.10] } }
`,
  'clusterset.yaml': `clusterset: f77ae25509a4624a
cluster: east
index: 1
fabric: { v4: 100.64.0.0/10, v6: "fd12:3456:789a::/48" }
clusters: []
`,
};

async function until(t: ExecutionContext, isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 20_000; !isSo() && performance.now() < end;) await delay(20);
  t.true(isSo());
}

test('clusterctl show --watch goes on where the site cannot be read for a while', async (t) => {
  const site = await mkdtemp(path.join(tmpdir(), 'show-'));
  t.teardown(() => rm(site, { recursive: true }));
  for (const [name, text] of Object.entries(FILES)) await writeFile(path.join(site, name), text);
  const stop = new AbortController();
  const { context, out, said } = hear({ signal: stop.signal });
  const showing = runCli(context, ['show', 'clusters', '--watch', '--site', site]);
  await until(t, () => out.length > 0);
  await rename(path.join(site, 'site.yaml'), path.join(site, 'away'));
  await until(t, () => said.some((line) => /^Cannot read .*site\.yaml: there is no such file/.test(line)));
  await rename(path.join(site, 'away'), path.join(site, 'site.yaml'));
  const before = out.length;
  await until(t, () => out.length > before);
  stop.abort();
  t.is(await showing, EXIT.ok);
});
