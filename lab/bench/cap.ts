// What lanes and gateways win where the network between sites caps each flow, as clouds do.

import { measureThroughput } from '#lab';
import { atLeast, median, ratioRow } from './benchmark.ts';
import type { Benchmark, Row } from './benchmark.ts';
import { joinedSites } from './rig.ts';

const CAP_MBPS = 50;
const STREAMS = 64;
const ROUNDS = 3;
const SECONDS = { seconds: 5, omitSeconds: 3 } as const;

/** Lanes and gateways a side; every pair of gateways has its own flow for each lane. */
const SHAPES = [
  { lanes: 1, gateways: 1 },
  { lanes: 2, gateways: 1 },
  { lanes: 4, gateways: 1 },
  { lanes: 1, gateways: 2 },
] as const;

async function measure({ lanes, gateways }: (typeof SHAPES)[number]): Promise<Row> {
  await using lab = await joinedSites({ name: `c${lanes}${gateways}`, lanes, gateways, flowMbps: CAP_MBPS });
  const values: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const options = { from: 'east/pod-a', to: 'west/pod-a', ...SECONDS, streams: STREAMS };
    values.push((await measureThroughput(lab, options)).mbps);
  }
  return ratioRow({
    what: `${lanes} lane${lanes > 1 ? 's' : ''} × ${gateways} gateway${gateways > 1 ? 's' : ''}, ${STREAMS} TCP streams`,
    unit: 'Mbit/s',
    value: median(values),
    reference: lanes * gateways * gateways * CAP_MBPS,
    referenceIs: 'tunnels × cap',
    target: atLeast(0.85),
  });
}

export const capBenchmark: Benchmark = {
  id: 'cap',
  what: `each outer UDP flow capped at ${CAP_MBPS} Mbit/s`,
  async run({ say, signal }) {
    const rows: Row[] = [];
    for (const shape of SHAPES) {
      signal.throwIfAborted();
      say(`${shape.lanes} lanes × ${shape.gateways} gateways`);
      rows.push(await measure(shape));
    }
    return rows;
  },
};
