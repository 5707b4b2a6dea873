// Round-trip time between pods of two sites, beside two hand-made WireGuard ends over the same hops.

import type { Lab } from '#lab';
import { alternate, atMost, median, ratioRow } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { handmadeSites, joinedSites } from './rig.ts';

const ROUNDS = 15;
const PINGS = 100;

/** Median of a burst of echoes, each sent after the last was answered. */
async function roundTrip(lab: Lab): Promise<number> {
  const to = lab.pod('west/pod-a').end.addresses.v4 ?? '';
  const said = await lab.pod('east/pod-a').exec(['ping', '-c', String(PINGS), '-i', '0.005', to]);
  return median(Array.from(said.matchAll(/time=([\d.]+) ms/g), ([, time]) => Number(time)));
}

export const roundTripBenchmark: Benchmark = {
  id: 'rtt',
  what: 'pod → pod round trip, beside two hand-made WireGuard ends',
  async run() {
    await using ours = await joinedSites({ name: 'r' });
    await using byHand = await handmadeSites('rh');
    const result = await alternate(
      ROUNDS,
      () => roundTrip(ours),
      () => roundTrip(byHand),
    );
    const what = 'round trip, pod → pod';
    return [ratioRow({ what, unit: 'ms', ...result, referenceIs: 'by hand', target: atMost(1.1) })];
  },
};
