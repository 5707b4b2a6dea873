// What probing a thousand clusters costs the process that does it.

import process from 'node:process';
import path from 'node:path';
import { Lab } from '#lab';
import * as v from 'valibot';
import { atMost, valueRow } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { ADDRESSES } from './detector-ends.ts';
import { CLUSTERS, GATEWAYS } from './fleet.ts';

const PATIENCE_MS = 300_000;
/** As `bin/launch` starts a gateway. */
const FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=96', '--optimize-for-size'] as const;
const Cost = v.object({ percent: v.number(), datagrams: v.number(), kicks: v.number() });
const Costs = v.object({ idle: Cost, silent: Cost });

async function measure(lab: Lab): Promise<v.InferOutput<typeof Costs>> {
  const place = lab.place('own/gw-0');
  const addresses = [...ADDRESSES].map((address) => `addr add ${address}/128 dev lo nodad\n`);
  await place.exec(['ip', '-6', '-batch', '-'], { input: addresses.join('') });
  const script = (name: string): string => path.join(import.meta.dirname, name);
  await place.spawn({ role: 'there', argv: [process.execPath, script('detector-there.ts')] });
  const here = [process.execPath, ...FLAGS, script('detector-here.ts')] as const;
  return v.parse(Costs, JSON.parse(await place.exec(here, { timeoutMs: PATIENCE_MS })));
}

export const detectorBenchmark: Benchmark = {
  id: 'detector',
  what: `a gateway's prober with ${CLUSTERS} clusters × ${GATEWAYS} gateways over loopback, of one core`,
  async run({ say }) {
    const site = { gateways: 1, workers: 0, hostProcesses: 0, kubeProxy: false } as const;
    await using lab = await Lab.up({ sites: { own: site } }, { name: `bd-${process.pid % 100_000}` });
    const { idle, silent } = await measure(lab);
    for (const [when, { datagrams, kicks }] of Object.entries({ idle, silent })) {
      say(`${when}: ${Math.round(datagrams)} datagrams a second of both ends, ${Math.round(kicks)} kicks`);
    }
    const common = { unit: '% of a core', target: atMost(25) };
    return [
      valueRow({ what: `probing ${CLUSTERS} × ${GATEWAYS}, all idle`, ...common, value: idle.percent }),
      valueRow({ what: `the same, half of them silent`, ...common, value: silent.percent }),
    ];
  },
};
