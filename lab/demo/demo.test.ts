import test from 'ava';
import { layout } from '../layout.ts';
import type { MatrixPair } from '../matrix.ts';
import { checkScenario } from '../scenario.ts';
import { drawMatrix } from './draw.ts';
import { faultsOf } from './report.ts';

const { sites } = layout(
  checkScenario({
    sites: {
      east: { workers: 1, gateways: 1 },
      west: { workers: 1, gateways: 1, podsPerWorker: 1, hostProcesses: 0 },
    },
  }),
);
const ends = sites.flatMap((site) => site.ends);

function pair(from: string, to: string, result: Partial<MatrixPair>): MatrixPair[] {
  const [source] = ends.filter((end) => end.name === from);
  const [target] = ends.filter((end) => end.name === to);
  if (source === undefined || target === undefined) return [];
  return [{ from: source, to: target, family: 'v4', address: 'x', reached: true, kept: true, ...result }];
}

test('drawMatrix() shows round trips, lost pairs, changed sources, and nothing within a site', (t) => {
  const lines = drawMatrix([
    ...pair('east/pod-a', 'west/pod-a', { seenAs: '10.1.1.2', rttMs: 0.4 }),
    ...pair('east/pod-a', 'west/pod-a', { seenAs: 'fd10:1:1::2', rttMs: 0.71 }),
    ...pair('east/pod-b', 'west/pod-a', { reached: false, kept: false, error: 'timeout' }),
    ...pair('east/host-1', 'west/pod-a', { seenAs: '198.18.1.1', rttMs: 12, kept: false }),
    ...pair('west/pod-a', 'east/pod-a', { seenAs: '10.2.1.2', rttMs: 0.38 }),
    ...pair('west/pod-a', 'east/pod-b', { seenAs: '10.2.1.2', rttMs: 0.38 }),
  ]);
  t.deepEqual(lines, [
    'from         seen as               east a    b  west a',
    'east/pod-a   10.1.1.2 fd10:1:1::2                  0.7',
    'east/pod-b   -                                       -',
    'east/host-1  198.18.1.1                          12.0!',
    'west/pod-a   10.2.1.2                 0.4  0.4',
  ]);
});

test('faultsOf() finds nothing in a whole run, and names each promise that was not kept', (t) => {
  const whole = {
    sites: ['east', 'west'],
    pairs: 8,
    reached: 8,
    sourceKept: 8,
    throughputMbps: 900,
    brokerDown: { reached: 8 },
    afterLeave: { leftovers: 0 },
    seconds: 12,
  };
  t.deepEqual(faultsOf(whole), []);
  t.is(
    faultsOf({
      ...whole,
      reached: 7,
      sourceKept: 6,
      brokerDown: { reached: 5 },
      afterLeave: { leftovers: 1 },
    }).length,
    4,
  );
});
