import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab, startClusterset, startDaemons, stopDaemons } from '#lab';
import { CommandError } from '#lib/linux';
import test from 'ava';
import { missedPairs, until } from './settled.ts';

// A site with one gateway: what the others do about it while its daemon is stopped is all that counts.
const name = `z${process.pid % 100_000}`;
let lab: Lab;

const one = {
  gateways: 1,
  workers: 1,
  podsPerWorker: 1,
  podsPerGateway: 0,
  hostProcesses: 0,
  lanes: 2,
} as const;

test.before(async () => {
  lab = await Lab.up({ sites: { east: one, west: one } }, { name });
  await startClusterset(lab);
  await until(() => missedPairs(lab));
});

test.after.always(async () => {
  await Lab.down(name);
});

test('A site whose daemons are stopped for long goes on carrying packets, and is not left by the others', async (t) => {
  await stopDaemons(lab, 'west');
  for (let second = 0; second < 15; second += 3) {
    await sleep(3000);
    t.deepEqual(await missedPairs(lab), [], `${second + 3} s`);
  }
  const state = await lab.place('east/gw-0').exec(['clusterctl', 'show', 'tunnels', '-o', 'json']);
  t.false(state.includes('"down"'), state);
  // It would go on sending by the old keys.
  const rotated = lab.place('east/gw-0').exec(['clusterctl', 'rotate-keys'], { timeoutMs: 90_000 });
  const refused = await t.throwsAsync(rotated, { instanceOf: CommandError });
  t.is(refused.exitCode, 3);
  t.regex(refused.stderr, /nothing stands in for its lanes on the way to west/);
  await startDaemons(lab, 'west');
  await until(() => missedPairs(lab));
  // It asks stopped daemons once a second.
  await until(() =>
    failure(() => lab.place('east/gw-0').exec(['clusterctl', 'rotate-keys'], { timeoutMs: 90_000 })),
  );
  t.deepEqual(await missedPairs(lab), [], 'by new keys');
});

async function failure(work: () => Promise<unknown>): Promise<string[]> {
  try {
    await work();
    return [];
  } catch (error) {
    return [String(error)];
  }
}
