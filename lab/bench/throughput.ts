// Throughput between pods of two sites: through the product, beside two hand-made WireGuard ends over the same hops.

import type { Lab } from '#lab';
import { measureThroughput } from '#lab';
import { alternate, atLeast, ratioRow } from './benchmark.ts';
import type { Benchmark, Row } from './benchmark.ts';
import { handmadeSites, joinedSites } from './rig.ts';
import { Staircase } from './staircase.ts';

const ROUNDS = 5;
/** Fits the pods' MTU in one packet. */
const DATAGRAM = 1372;
/** Of the datagrams: more of them lost is more than a call or a game puts up with. */
const LOST_PERCENT = 1;
/** On either side, first at this rate. */
const TRIALS = 24;
const START_MBPS = 20;

const SECONDS = { seconds: 3, omitSeconds: 1 } as const;
const PODS = { from: 'east/pod-a', to: 'west/pod-a' } as const;

async function tcp(lab: Lab, streams: number): Promise<number> {
  return (await measureThroughput(lab, { ...PODS, ...SECONDS, streams })).mbps;
}

/** One trial at the staircase's rate. Other processes only ever spoil one, so that a failure counts when it is repeated. */
async function tryUdp(lab: Lab, stairs: Staircase): Promise<void> {
  const load = { ...PODS, seconds: 1, udpMbps: stairs.level, datagram: DATAGRAM };
  const isCarried = async (): Promise<boolean> =>
    ((await measureThroughput(lab, load)).lostPercent ?? 100) <= LOST_PERCENT;
  stairs.tell((await isCarried()) || (await isCarried()));
}

/**
 * The highest rates that both carry without losing more than {@link LOST_PERCENT}, searched for side by side.
 *
 * A fixed rate says nothing here. Above what a tunnel carries, sender, encryption and receiver take the cores from each
 * other and what arrives is chance; below it both carry everything; and TCP's rate is far above it, because a tunnel
 * takes TCP's segments in batches and datagrams one by one. What one carries depends on the load of the moment: so both
 * climb at the same time, trial by trial, and a disturbance costs either of them one step.
 */
async function udp(ours: Lab, byHand: Lab): Promise<{ value: number; reference: number }> {
  const [mine, theirs] = [new Staircase({ start: START_MBPS }), new Staircase({ start: START_MBPS })];
  for (let trial = 0; trial < TRIALS; trial += 1) {
    await tryUdp(byHand, theirs);
    await tryUdp(ours, mine);
  }
  return { value: mine.threshold, reference: theirs.threshold };
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
    say(`UDP, at most ${LOST_PERCENT} % lost`);
    const datagrams = await udp(ours, byHand);
    return [row('TCP, 1 lane', stream), row(`UDP, 1 lane, ≤ ${LOST_PERCENT} % lost`, datagrams)];
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
