// The route agent over a site directory, on a kernel that takes everything.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Conditions } from '#host';
import type { Run } from '#lib/linux';
import { openLog } from '#lib/log';
import { openMetrics } from '#lib/metrics';
import * as v from 'valibot';
import { Agent } from './agent.ts';

const State = v.object({ fleet: v.unknown() });

const SITE = `cluster: east
podCIDRs: [10.1.0.0/16]
link: direct
nodes:
  - { name: gw-0, role: gateway, ordinal: 0, addresses: [192.168.1.10] }
  - { name: worker-1, role: worker, addresses: [192.168.1.11], podCIDRs: [10.1.1.0/24] }
`;
const CLUSTERSET = `clusterset: f77ae25509a4624a
cluster: east
index: 1
fabric: { v4: 100.64.0.0/10, v6: "fd12:3456:789a::/48" }
`;

/** A kernel that holds nothing, on a host with the worker's address, and what it was asked to change. */
function kernelOf(): { run: Run; changed: string[] } {
  const changed: string[] = [];
  const run: Run = ({ argv, input = '' }) => {
    const text = argv.join(' ');
    if (text.includes('address show')) {
      return Promise.resolve('[{"ifname":"eth0","mtu":1500,"addr_info":[{"local":"192.168.1.11"}]}]');
    }
    if (argv.includes('-force')) changed.push(input);
    if (argv[0] === 'nft') return Promise.resolve('{"nftables":[]}');
    const shows = argv.includes('-batch') ? (argv.includes('-d') ? 3 : argv.includes('-6') ? 9 : 8) : 1;
    return Promise.resolve(argv[0] === 'ip' || argv[0] === 'bridge' ? '[]\n'.repeat(shows) : '');
  };
  return { run, changed };
}

async function agentOf(t: { teardown: (f: () => Promise<void>) => void }): Promise<{
  agent: Agent;
  codes: () => string[];
  changed: string[];
  write: (name: string, text: string) => Promise<void>;
}> {
  const site = await mkdtemp(join(tmpdir(), 'isthmus-agent-'));
  t.teardown(() => rm(site, { recursive: true, force: true }));
  const log = openLog({ component: 'test', destination: { write: () => {} } });
  const metrics = openMetrics({ component: 'test', version: '0' });
  const conditions = new Conditions(log);
  const { signal } = new AbortController();
  const { run, changed } = kernelOf();
  const state = join(site, 'state');
  const flags = { site, secrets: site, state, node: 'worker-1', statusPort: 0, logLevel: 'error' } as const;
  const tools = { log, metrics, conditions, signal, wake: () => {} };
  const agent = new Agent({ tools, flags, run, resilient: true });
  t.teardown(() => agent[Symbol.asyncDispose]());
  return {
    agent,
    codes: () => conditions.all().map(({ code }) => code),
    changed,
    write: (name, text) => writeFile(join(site, name), text),
  };
}

test('Agent waits for a clusterset, follows it, and has nothing to report once the cluster has left', async (t) => {
  const { agent, codes, changed, write } = await agentOf(t);
  await write('site.yaml', SITE);
  await agent.pass();
  t.deepEqual(codes(), ['IST_WAITING_FOR_GATEWAY']);
  t.is(agent.ready(), 'no plan has been applied yet');
  t.deepEqual(changed, [], 'nothing is touched');
  await write('clusterset.yaml', `${CLUSTERSET}clusters: []\n`);
  await agent.pass();
  t.false(codes().includes('IST_WAITING_FOR_GATEWAY'));
  t.true(
    changed.some((lines) => lines.includes('unreachable')),
    changed.join(''),
  );
  await write('clusterset.yaml', `${CLUSTERSET}clusters: []\nleft: true\n`);
  await agent.pass();
  t.deepEqual(codes(), []);
  t.deepEqual(agent.state(), { fleet: undefined, host: undefined, paths: [], ignored: {} });
  t.is(agent.ready(), 'the cluster has left');
});

test('Agent that waits hears of the departure as well', async (t) => {
  const { agent, codes, write } = await agentOf(t);
  await write('site.yaml', SITE);
  await agent.pass();
  await write('clusterset.yaml', `${CLUSTERSET}clusters: []\nleft: true\n`);
  await agent.pass();
  t.deepEqual(codes(), []);
});

test('Agent plans nothing while the file of a listed cluster is lost', async (t) => {
  const { agent, changed, write } = await agentOf(t);
  await write('site.yaml', SITE);
  await write('clusterset.yaml', `${CLUSTERSET}clusters: [west]\n`);
  await t.throwsAsync(agent.pass(), { message: /^Cannot plan without "west": .* copied whole$/ });
  t.deepEqual(changed, []);
});

test('Agent goes on with what it knew while the directory cannot be used: gateways may die meanwhile', async (t) => {
  const { agent, codes, changed, write } = await agentOf(t);
  await write('site.yaml', SITE);
  await write('clusterset.yaml', `${CLUSTERSET}clusters: []\n`);
  await agent.pass();
  const { fleet } = v.parse(State, agent.state());
  for (const [file, text] of [
    ['site.yaml', 'cluster: ['],
    ['site.yaml', SITE.replace('worker-1', 'worker-2')],
    ['clusterset.yaml', `${CLUSTERSET}clusters: [west]\n`],
  ] as const) {
    await write('site.yaml', SITE);
    await write('clusterset.yaml', `${CLUSTERSET}clusters: []\n`);
    await agent.pass();
    t.false(codes().includes('IST_SITE_INVALID'));
    changed.length = 0;
    agent.noticed('damage');
    await write(file, text);
    await agent.pass();
    t.true(codes().includes('IST_SITE_INVALID'), text);
    t.deepEqual(v.parse(State, agent.state()).fleet, fleet);
    t.true(changed.length > 0, 'the kernel is held to it');
  }
});
