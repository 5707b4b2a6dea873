import test from 'ava';
import { checkScenario, labNames, layout } from '#lab';
import { KINDS, ROW_OF } from '../soak/faults.ts';
import { SITES, soak } from '../soak/run.ts';
import { roundOf } from '../soak/script.ts';
import { topologyOf } from '../soak/topology.ts';

const SEED = 2036;
/** So many it takes to break something of every row, which is some two minutes. */
const ROUNDS = 12;

test('roundOf() breaks something of every row of the failover table in the rounds that are soaked', (t) => {
  const plan = layout(checkScenario({ sites: SITES }));
  for (const isUserspace of [true, false]) {
    const script = { seed: SEED, topology: topologyOf(plan, isUserspace) };
    const steps = Array.from({ length: ROUNDS }, (_, at) => roundOf(script, at + 1).steps).flat();
    t.is(
      new Set(steps.map(({ fault }) => ROW_OF[fault.kind])).size,
      new Set(KINDS.map((kind) => ROW_OF[kind])).size,
    );
  }
});

test('soak() finds that pods reach what they may soon after each step, and no process, file or setting that was not there before', async (t) => {
  const soaks = async (): Promise<string[]> => (await labNames()).filter((name) => name.startsWith('soak-'));
  const before = await soaks();
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const report = await soak({
    seed: SEED,
    forMs: 120_000,
    leastRounds: ROUNDS,
    signal: stop.signal,
    say: (line) => t.log(line),
  });
  t.deepEqual(report.problems, [], `${report.replay}\n${report.evidence ?? ''}`);
  t.true(report.rounds >= ROUNDS);
  t.true(report.processes.length > 0);
  t.deepEqual(await soaks(), before);
});
