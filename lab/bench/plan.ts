// How long a gateway's plan takes: for a thousand clusters, and after one of them has changed.

import { createPlanner, plan } from '#topology';
import { alternate, atMost, median, valueRow } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { changed, CLUSTERS, gatewayHost, GATEWAYS, LANES, largeFleet } from './fleet.ts';

const ROUNDS = 9;
const CHANGES = 15;

/** Milliseconds for a thousand clusters, and for one change of a cluster's endpoints among them. */
export const planBenchmark: Benchmark = {
  id: 'plan',
  what: `plan() for ${CLUSTERS} clusters × ${GATEWAYS} gateways × ${LANES} lanes`,
  async run({ say }) {
    let fleet = largeFleet();
    const host = gatewayHost(fleet);
    const planner = createPlanner();
    planner(fleet, host);
    say('planning from nothing, and again after each of many changes');
    let turn = 0;
    const { value: change, reference: rebuild } = await alternate(
      ROUNDS,
      async () => {
        const times: number[] = [];
        for (let count = 0; count < CHANGES; count += 1) {
          fleet = changed(fleet, (turn += 1));
          times.push(await milliseconds(() => planner(fleet, host)));
        }
        return median(times);
      },
      async () => await milliseconds(() => plan(fleet, host)),
    );
    return [
      valueRow({ what: 'plan() from nothing', unit: 'ms', value: rebuild, target: atMost(100) }),
      valueRow({
        what: "plan() after one record's change",
        unit: 'ms',
        value: change,
        reference: rebuild,
        referenceIs: 'full rebuild',
        target: atMost(2),
      }),
    ];
  },
};

async function milliseconds(work: () => unknown): Promise<number> {
  const start = performance.now();
  await Promise.resolve(work());
  return performance.now() - start;
}
