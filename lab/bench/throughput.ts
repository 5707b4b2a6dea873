// Throughput between pods of two sites: through the product, beside two hand-made WireGuard ends over the same hops.

import type { Lab } from '#lab';
import { measureThroughput } from '#lab';
import { alternate, atLeast, ratioRow } from './benchmark.ts';
import type { Benchmark, Row } from './benchmark.ts';
import { handmadeSites, joinedSites } from './rig.ts';

const ROUNDS = 5;
/** Fits the pods' MTU in one packet. */
const DATAGRAM = 1372;

const SECONDS = { seconds: 3, omitSeconds: 1 } as const;
const PODS = { from: 'east/pod-a', to: 'west/pod-a' } as const;

async function tcp(lab: Lab, streams: number): Promise<number> {
  return (await measureThroughput(lab, { ...PODS, ...SECONDS, streams })).mbps;
}

async function udp(lab: Lab, udpMbps: number): Promise<number> {
  return (await measureThroughput(lab, { ...PODS, ...SECONDS, udpMbps, datagram: DATAGRAM })).mbps;
}

/** One lane, one gateway a side. */
export const throughputBenchmark: Benchmark = {
  id: 'throughput',
  what: 'pod → pod, one lane, one gateway a side, beside two hand-made WireGuard ends',
  async run({ say }) {
    await using ours = await joinedSites({ name: 'p' });
    await using byHand = await handmadeSites('h');
    const row = (what: string, result: { value: number; reference: number }): Row =>
      ratioRow({ what, unit: 'Mbit/s', ...result, referenceIs: 'by hand', target: atLeast(0.9) });
    say('TCP, one stream');
    const stream = await alternate(
      ROUNDS,
      () => tcp(ours, 1),
      () => tcp(byHand, 1),
    );
    // As much as TCP carried by hand: a sender that offers far more takes the cores from those who encrypt.
    const offered = Math.round(stream.reference);
    say(`UDP, ${offered} Mbit/s offered`);
    const datagrams = await alternate(
      ROUNDS,
      () => udp(ours, offered),
      () => udp(byHand, offered),
    );
    return [row('TCP, 1 lane', stream), row('UDP, 1 lane', datagrams)];
  },
};

/** Two and four lanes on the same cores: they win nothing there, and must cost little. */
export const lanesBenchmark: Benchmark = {
  id: 'lanes',
  what: 'pod → pod TCP, 8 streams over 2 and 4 lanes on the same cores, beside one lane',
  async run({ say }) {
    await using one = await joinedSites({ name: 'l1' });
    const rows: Row[] = [];
    for (const [lanes, least] of [
      [2, 0.8],
      [4, 0.65],
    ] as const) {
      say(`${lanes} lanes`);
      await using several = await joinedSites({ name: `l${lanes}`, lanes });
      const result = await alternate(
        ROUNDS,
        () => tcp(several, 8),
        () => tcp(one, 8),
      );
      const what = `TCP, ${lanes} lanes, 8 streams`;
      rows.push(ratioRow({ what, unit: 'Mbit/s', ...result, referenceIs: '1 lane', target: atLeast(least) }));
    }
    return rows;
  },
};
