// How long after a record is published the kernels of all other sites hold what it says.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { createClusterset, joinSite, Lab, startDaemons } from '#lab';
import { DEVICE_PREFIX } from '#lib/constants';
import * as v from 'valibot';
import { atMost, quantile, valueRow } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';

const COUNT = 200;
const PAUSE_MS = 300;
const PATIENCE_MS = 120_000;

const At = v.tuple([v.number(), v.number()]);
const Pulse = v.object({ natsMs: v.number(), published: v.array(At) });

/** The device that stands for remote ordinal 0, lane 0. */
const DEVICE = `${DEVICE_PREFIX}00`;

/** When each port was first seen, by one site's gateway: a silent peer is made anew, and seen again. */
async function seen(log: string): Promise<ReadonlyMap<number, number>> {
  const lines = (await readFile(log, 'utf8')).split('\n').filter((line) => line.startsWith('['));
  const sights = lines.map((line) => v.parse(At, JSON.parse(line)));
  return new Map(sights.toReversed());
}

/** Milliseconds from each publication until the last kernel held it or, where moves were taken together, a later one: ports fall. */
function delays(
  pulse: v.InferOutput<typeof Pulse>,
  kernels: readonly ReadonlyMap<number, number>[],
): number[] {
  const heldAt = (kernel: ReadonlyMap<number, number>, port: number): number =>
    Math.min(...[...kernel].flatMap(([shown, at]) => (shown <= port ? [at] : [])));
  return pulse.published.map(([port, at]) => Math.max(...kernels.map((kernel) => heldAt(kernel, port))) - at);
}

async function measure(lab: Lab): Promise<{ readonly natsMs: number; readonly delays: readonly number[] }> {
  await createClusterset(lab);
  for (const site of ['east', 'west', 'pulse']) await joinSite(lab, site);
  for (const site of ['east', 'west']) await startDaemons(lab, site);
  const address = lab.node('pulse/gw-0').node.addresses.v4 ?? '';
  const script = (name: string): string => path.join(import.meta.dirname, name);
  const watchers = ['east', 'west'].map((site) =>
    lab
      .place(`${site}/gw-0`)
      .spawn({ role: 'watch', argv: [process.execPath, script('watch.ts'), DEVICE, address] }),
  );
  const logs = (await Promise.all(watchers)).map(({ log }) => log);
  const argv = [process.execPath, script('pulse.ts'), String(COUNT), String(PAUSE_MS), address] as const;
  const said = await lab.place('pulse/gw-0').exec(argv, { timeoutMs: PATIENCE_MS });
  const pulse = v.parse(Pulse, JSON.parse(said.trim().split('\n').at(-1) ?? ''));
  return { natsMs: pulse.natsMs, delays: delays(pulse, await Promise.all(logs.map(seen))) };
}

export const convergenceBenchmark: Benchmark = {
  id: 'convergence',
  what: `record published → kernels of all other sites changed, ${COUNT} times, beside a NATS round trip`,
  async run() {
    const site = { gateways: 1, workers: 0, hostProcesses: 0, kubeProxy: false, underlay: 'v4' } as const;
    const sites = { east: { ...site }, west: { ...site }, pulse: { ...site } };
    await using lab = await Lab.up({ sites }, { name: `bc-${process.pid % 100_000}` });
    const result = await measure(lab);
    const common = {
      unit: 'ms',
      reference: result.natsMs,
      referenceIs: 'NATS round trip',
      target: atMost(50),
    };
    return [
      valueRow({ what: 'published → kernels, p50', ...common, value: quantile(result.delays, 0.5) }),
      valueRow({ what: 'published → kernels, p99', ...common, value: quantile(result.delays, 0.99) }),
    ];
  },
};
