import test from 'ava';
import { labNames } from '#lab';
import { soak } from '../soak/run.ts';

/** Two minutes of this one go through every row of the failover table. */
const SEED = 2036;

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
