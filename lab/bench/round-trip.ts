// Round-trip time between pods of two sites, beside two hand-made WireGuard ends over the same hops.

import type { Lab } from '#lab';
import { atMost, median, ratioRow } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { handmadeSites, joinedSites } from './rig.ts';

const ROUNDS = 15;
const PINGS = 200;

/** Milliseconds of each echo. */
async function roundTrips(lab: Lab): Promise<number[]> {
  const to = lab.pod('west/pod-a').end.addresses.v4 ?? '';
  const said = await lab.pod('east/pod-a').exec(['ping', '-c', String(PINGS), '-i', '0.005', to]);
  return Array.from(said.matchAll(/time=([\d.]+) ms/g), ([, time]) => Number(time));
}

export const roundTripBenchmark: Benchmark = {
  id: 'rtt',
  what: 'pod → pod round trip, beside two hand-made WireGuard ends',
  async run() {
    await using ours = await joinedSites({ name: 'r' });
    await using byHand = await handmadeSites('rh');
    const values: number[] = [];
    const references: number[] = [];
    // Both at once: one echo of each every 5 ms, so that whatever else the machine does falls on both alike.
    for (let round = 0; round < ROUNDS; round += 1) {
      const [mine, theirs] = await Promise.all([roundTrips(ours), roundTrips(byHand)]);
      values.push(...mine);
      references.push(...theirs);
    }
    const result = { value: median(values), reference: median(references) };
    const what = 'round trip, pod → pod';
    return [ratioRow({ what, unit: 'ms', ...result, referenceIs: 'by hand', target: atMost(1.1) })];
  },
};
