// Resident memory of the bundled daemons, idle and with a thousand clusters, beside a bare Node.

import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createClusterset,
  expectDaemons,
  joinSite,
  Lab,
  startBroker,
  startDaemons,
  stopBroker,
  stopDaemons,
} from '#lab';
import { TABLE_HERE } from '#lib/constants';
import { atMost, valueRow } from './benchmark.ts';
import type { Benchmark, Row, Target } from './benchmark.ts';
import { Crowd } from './members.ts';

const CLUSTERS = 1000;
const PATIENCE_MS = 120_000;
/** After the last change: what is let go of then does not count. */
const REST_MS = 8000;

/** MiB. */
async function residentOf(pid: number): Promise<number> {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  if (kib === undefined) throw new Error(`Cannot read the memory of process ${pid}: it has ended`);
  return Number(kib) / 1024;
}

async function bareNode(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e9)'], { stdio: 'ignore' });
  await sleep(2000);
  try {
    return await residentOf(child.pid ?? 0);
  } finally {
    child.kill('SIGKILL');
  }
}

/** Until both kernels hold routes to all clusters. */
async function settle(lab: Lab, clusters: number): Promise<void> {
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until; await sleep(500)) {
    const argv = ['ip', 'route', 'show', 'table', String(TABLE_HERE)] as const;
    const counts = lab.nodes.map(async ({ place }) => {
      const said = await lab
        .place(place)
        .exec(argv)
        .catch(() => '');
      return said.split('\n').filter((line) => line.startsWith('unreachable')).length;
    });
    if ((await Promise.all(counts)).every((count) => count > clusters)) return await sleep(REST_MS);
    await expectDaemons(lab, ['own']);
  }
  throw new Error(
    `Cannot measure memory: ${clusters} clusters are not applied within ${PATIENCE_MS / 1000} s`,
  );
}

async function measure(lab: Lab, role: string): Promise<number> {
  const [daemon] = await lab.processes({ role });
  if (daemon === undefined) throw new Error(`Cannot measure "${role}": it does not run`);
  return await residentOf(daemon.pid);
}

const LIMITS: readonly (readonly [role: string, target: Target])[] = [
  ['route-agent', atMost(75)],
  ['gateway', atMost(110)],
];

async function rows(lab: Lab, when: string, bare: number): Promise<Row[]> {
  const common = { unit: 'MiB', reference: bare, referenceIs: 'bare Node' };
  const all = LIMITS.map(async ([role, target]) =>
    valueRow({ what: `${role}, ${when}`, ...common, value: await measure(lab, role), target }),
  );
  return await Promise.all(all);
}

export const memoryBenchmark: Benchmark = {
  id: 'memory',
  what: 'resident memory of the bundled daemons, wireguard-go apart',
  async run({ say }) {
    const site = { gateways: 1, workers: 1, podsPerWorker: 0, hostProcesses: 0, kubeProxy: false } as const;
    await using lab = await Lab.up({ sites: { own: site } }, { name: `bm-${process.pid % 100_000}` });
    const bare = await bareNode();
    say('idle');
    // A broker that answers, as members have one: its connection is part of what a gateway holds.
    await createClusterset(lab);
    await joinSite(lab, 'own');
    await startDaemons(lab, 'own');
    await settle(lab, 0);
    const idle = await rows(lab, 'idle', bare);
    await stopDaemons(lab, 'own');
    await stopBroker(lab);
    say(`${CLUSTERS} clusters`);
    const broker = path.join(lab.home.node('broker').varLib, 'isthmus', 'broker');
    const crowd = await Crowd.make({ broker, secrets: lab.home.site('own').secrets, clusters: CLUSTERS });
    await crowd.enrol();
    await crowd.remember(path.join(lab.home.node('own/gw-0').varLib, 'isthmus', 'state'));
    await startBroker(lab);
    await startDaemons(lab, 'own');
    await settle(lab, CLUSTERS);
    return [...idle, ...(await rows(lab, `${CLUSTERS} clusters`, bare))];
  },
};
