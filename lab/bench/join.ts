// How long an operator waits from the join command to the first answered ping.

import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClusterset, issueToken, joinSite, Lab, startDaemons } from '#lab';
import { atMost, median, valueRow } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';

const ROUNDS = 3;
const PATIENCE_MS = 30_000;

/** Asks every 20 ms, as somebody would who cannot wait. */
async function firstAnswer(lab: Lab, from: string, to: string): Promise<void> {
  for (const until = Date.now() + PATIENCE_MS; ; await sleep(20)) {
    const answered = await lab
      .pod(from)
      .exec(['ping', '-c', '1', '-W', '1', to])
      .then(
        () => true,
        () => false,
      );
    if (answered) return;
    if (Date.now() > until) throw new Error(`Cannot reach ${to} from "${from}" within ${PATIENCE_MS} ms`);
  }
}

/** One site is there; the other has a token, and nothing else. Its daemons start when the join has ended. */
async function once(round: number): Promise<number> {
  const site = { gateways: 1, workers: 1, podsPerWorker: 1, hostProcesses: 0, kubeProxy: false } as const;
  const name = `bj${round}-${process.pid % 100_000}`;
  await using lab = await Lab.up({ sites: { east: { ...site }, west: { ...site } } }, { name });
  await createClusterset(lab);
  await joinSite(lab, 'east');
  await startDaemons(lab, 'east');
  await sleep(2000);
  const input = await issueToken(lab, 'west');
  const to = lab.pod('east/pod-a').end.addresses.v4 ?? '';
  const started = performance.now();
  await lab.place('west/gw-0').exec(['clusterctl', 'join', '--token-file', '-'], { input });
  await startDaemons(lab, 'west');
  await firstAnswer(lab, 'west/pod-a', to);
  return (performance.now() - started) / 1000;
}

export const joinBenchmark: Benchmark = {
  id: 'join',
  what: 'clusterctl join, daemons started, until a pod of the new site is answered',
  async run({ say, signal }) {
    const values: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      signal.throwIfAborted();
      say(`round ${round + 1} of ${ROUNDS}`);
      values.push(await once(round));
    }
    return [
      valueRow({ what: 'join → first ping answered', unit: 's', value: median(values), target: atMost(3) }),
    ];
  },
};
