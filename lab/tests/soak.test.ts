import test from 'ava';
import { checkScenario, labNames, layout } from '#lab';
import { KINDS, ROW_OF } from '../soak/faults.ts';
import { SITES, soak } from '../soak/run.ts';
import { roundOf } from '../soak/script.ts';
import { topologyOf } from '../soak/topology.ts';

const SEED = 2036;
/** So many there is time for in two minutes. */
const ROUNDS = 12;

test('The seed of the two-minute soak goes through every row of the failover table', (t) => {
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

test('A clusterset that is broken at random for two minutes reaches what it may all the time, and is what it was in the end', async (t) => {
  const soaks = async (): Promise<string[]> => (await labNames()).filter((name) => name.startsWith('soak-'));
  const before = await soaks();
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const report = await soak({ seed: SEED, forMs: 120_000, signal: stop.signal, say: (line) => t.log(line) });
  t.deepEqual(report.problems, [], `${report.replay}\n${report.evidence ?? ''}`);
  t.true(report.rounds > 1);
  t.true(report.processes.length > 0);
  t.deepEqual(await soaks(), before);
});
