import fs from 'node:fs/promises';
import process from 'node:process';
import { Lab, startClusterset } from '#lab';
import { DRILL_TABLE } from '#lib/constants';
import { CommandError } from '#lib/linux';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as v from 'valibot';
import { missedPairs, settle, until } from './settled.ts';

// One lab for all: each drill has to leave it as it found it, that is what the next one begins from.
const name = `d${process.pid % 100_000}`;
let lab: Lab;

const PER_PHASE = v.object({ before: v.number(), during: v.number(), after: v.number() });
const REPORT = v.object({
  drill: v.string(),
  target: v.string(),
  verdict: v.string(),
  summary: v.string(),
  recoveryMs: v.optional(v.number()),
  lost: v.number(),
  flows: v.array(
    v.looseObject({
      sent: PER_PHASE,
      lost: PER_PHASE,
    }),
  ),
  events: v.array(v.object({ at: v.string(), path: v.string(), to: v.string(), why: v.string() })),
});
type Report = v.InferOutput<typeof REPORT> & { readonly text: string };

test.before(async () => {
  const site = { gateways: 2, workers: 1, podsPerWorker: 1, podsPerGateway: 0, hostProcesses: 0 } as const;
  lab = await Lab.up({ sites: { east: site, west: site } }, { name });
  await startClusterset(lab);
  await settle(lab);
});

test.after.always(() => lab?.down());

/** Every address of west that answers ping, as options. */
function targets(): string[] {
  const pods = lab.site('west').ends.flatMap(({ addresses: { v4 = '', v6 = '' } }) => [v4, v6]);
  return pods.flatMap((address) => ['--to', address]);
}

async function drill(place: string, ...words: readonly string[]): Promise<Report> {
  return read(
    await lab.place(place).exec(['clusterctl', 'drill', ...words, '-o', 'json'], { timeoutMs: 120_000 }),
  );
}

function read(text: string): Report {
  return { ...v.parse(REPORT, JSON.parse(text)), text };
}

/** What a table of a drill holds: nothing where there is none. */
async function heldBy(place: string): Promise<string> {
  const list = `nft list table inet ${DRILL_TABLE} 2>/dev/null | grep elements; true`;
  return await lab.place(place).exec(['sh', '-c', list]);
}

async function tables(place: string): Promise<string> {
  return await lab.place(place).exec(['nft', 'list', 'tables']);
}

function down({ events }: Report): string[] {
  return [...new Set(events.filter(({ to }) => to === 'down').map(({ path }) => path))].toSorted();
}

async function isWhole(t: ExecutionContext, place: string): Promise<void> {
  t.false((await tables(place)).includes(DRILL_TABLE));
  await until(() => missedPairs(lab, { timeoutMs: 1500 }));
  await until(async () => await silentPaths(place));
}

/** Paths of a gateway that carry nothing. */
async function silentPaths(place: string): Promise<string[]> {
  const said = await lab.place(place).exec(['clusterctl', 'show', 'paths', '-o', 'json']);
  const paths = v.parse(v.array(v.looseObject({ path: v.string(), state: v.string() })), JSON.parse(said));
  return paths.filter(({ state }) => state !== 'up').map(({ path }) => path);
}

test.serial('clusterctl drill path takes one tunnel, and says how its flows went on', async (t) => {
  const report = await drill('east/gw-0', 'path', 'west/1#0', '--for', '5s', ...targets());
  t.log(report.text);
  t.deepEqual(down(report), ['west/1#0']);
  t.true(['recovered', 'unnoticed'].includes(report.verdict), report.text);
  await isWhole(t, 'east/gw-0');
});

test.serial('clusterctl drill cluster takes all tunnels to it, and packets go by the sibling', async (t) => {
  const report = await drill('east/gw-0', 'cluster', 'west', '--for', '5s', ...targets());
  t.log(report.text);
  t.deepEqual(down(report), ['west/0#0', 'west/1#0']);
  t.is(report.verdict, 'recovered', report.text);
  t.true(report.lost > 0 && report.recoveryMs !== undefined);
  await isWhole(t, 'east/gw-0');
});

test.serial('clusterctl drill gateway makes it dead to all others, who go on without it', async (t) => {
  const drilling = drill('east/gw-0', 'gateway', '--for', '8s', ...targets());
  await until(async () => ((await heldBy('east/gw-0')) === '' ? ['the failure'] : []));
  await until(() => missedPairs(lab, { timeoutMs: 500 }));
  t.not(await heldBy('east/gw-0'), '', 'others go on while it lasts');
  const report = await drilling;
  t.log(report.text);
  t.is(report.verdict, 'back', report.text);
  t.deepEqual(down(report), ['node gw-1', 'node worker-1', 'west/0#0', 'west/1#0']);
  await isWhole(t, 'east/gw-0');
});

test.serial('clusterctl drill broker moves nothing', async (t) => {
  const report = await drill('east/gw-0', 'broker', '--for', '8s', ...targets());
  t.log(report.text);
  t.is(report.verdict, 'unnoticed', report.text);
  t.deepEqual(down(report), []);
  await isWhole(t, 'east/gw-0');
});

test.serial(
  'clusterctl drill that is interrupted ends the failure at once, and reports what it saw',
  async (t) => {
    const argv = [
      'clusterctl',
      'drill',
      'path',
      'west/0#0',
      '--for',
      '10m',
      ...targets(),
      '-o',
      'json',
    ] as const;
    const { log } = await lab.place('east/gw-0').spawn({ role: 'drill', argv: [...argv] });
    await until(async () => ((await heldBy('east/gw-0')) === '' ? ['the failure'] : []));
    await lab.kill({ role: 'drill' }, 'SIGINT');
    t.false((await tables('east/gw-0')).includes(DRILL_TABLE));
    const said = await fs.readFile(log, 'utf8');
    const report = read(said.slice(said.indexOf('{'), said.lastIndexOf('}') + 1));
    t.is(report.verdict, 'interrupted');
    await isWhole(t, 'east/gw-0');
  },
);

test.serial(
  'clusterctl drill that is killed ends by itself; while it lasts no other would cut the last path',
  async (t) => {
    const argv = ['clusterctl', 'drill', 'gateway', '--for', '20s', ...targets()] as const;
    await lab.place('east/gw-1').spawn({ role: 'drill', argv: [...argv] });
    await until(async () => ((await heldBy('east/gw-1')) === '' ? ['the failure'] : []));
    await lab.kill({ role: 'drill' }, 'SIGKILL');
    await until(async () =>
      (await silentPaths('east/gw-0')).includes('node gw-1') ? [] : ['its sibling sees it'],
    );
    const refused = await t.throwsAsync(drill('east/gw-0', 'gateway', ...targets()), {
      instanceOf: CommandError,
    });
    t.like(refused, { exitCode: 3 });
    t.regex(refused?.stderr ?? '', /west would be cut off/);
    t.not(await heldBy('east/gw-1'), '', 'it went on without its maker');
    await until(async () => ((await heldBy('east/gw-1')) === '' ? [] : ['its end']));
    await until(() => missedPairs(lab, { timeoutMs: 1500 }));
    await until(async () => [...(await silentPaths('east/gw-0')), ...(await silentPaths('east/gw-1'))]);
    t.true((await tables('east/gw-1')).includes(DRILL_TABLE), 'an empty table is left');
    t.is((await drill('east/gw-1', 'broker', '--for', '5s')).verdict, 'unnoticed');
    await isWhole(t, 'east/gw-1');
  },
);
