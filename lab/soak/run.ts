// `npm run lab -- soak`: breaks a clusterset at random for as long as wanted, and looks whether it is what it was in the end.

import process from 'node:process';
import { runCommand } from '#lib/linux';
import { Lab } from '../lab.ts';
import { leaveSite, saidBy, startClusterset } from '../product.ts';
import { unlessAborted } from '../unless-aborted.ts';
import { Course, SoakError } from './course.ts';
import { saveEvidence } from './evidence.ts';
import { differences, readState } from './foreign.ts';
import { waitFor } from './patience.ts';
import { expectReach, PATIENCE_MS } from './reach.ts';
import { growthText, processReports, type ProcessReport, type SoakReport } from './report.ts';
import { topologyOf, type SoakTopology } from './topology.ts';
import { growth, type Holdings } from './usage.ts';
import { readHoldings } from './watch.ts';

export interface SoakOptions {
  readonly seed: number;
  /** From the beginning to the end of the last round; the looks at the end come on top. */
  readonly forMs: number;
  /** So many rounds, however long they take. @default 1 */
  readonly leastRounds?: number;
  /** Number of the first round. @default 1 */
  readonly from?: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** Two gateways and two lanes each; workers reach their gateways directly in one, over VXLAN in the other. */
const SITE = { gateways: 2, workers: 2, podsPerWorker: 1, hostProcesses: 0, lanes: 2 } as const;
export const SITES = { east: { ...SITE, link: 'direct' }, west: { ...SITE, link: 'vxlan' } } as const;
/** For the first handshakes and plans. */
const START_MS = 60_000;

/** Rejects only if it is interrupted, or could not begin; what did not hold is in the report. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { seed, from = 1, forMs, signal } = options;
  const startedAt = performance.now();
  const host = await readState(runCommand);
  const told = await withLab(options, startedAt);
  const touched = differences(host, await readState(runCommand)).map((line) => `the host: ${line}`);
  signal.throwIfAborted();
  const problems = [...told.problems, ...touched];
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  const replay = `npm run lab -- soak --for ${Math.round(forMs / 1000)}s --seed ${seed}${from === 1 ? '' : ` --from ${from}`}`;
  return { seed, from, seconds, ...told, problems, replay };
}

type Told = Pick<SoakReport, 'rounds' | 'steps' | 'processes' | 'problems' | 'evidence' | 'failed'>;

async function withLab(options: SoakOptions, startedAt: number): Promise<Told> {
  const { signal } = options;
  const name = `soak-${process.pid % 100_000}`;
  await using lab = await Lab.up({ sites: SITES }, { name, signal });
  return await unlessAborted(signal, inLab(lab, options, startedAt));
}

async function inLab(lab: Lab, options: SoakOptions, startedAt: number): Promise<Told> {
  const { signal, say } = options;
  const bare = await statesOf(lab);
  await startClusterset(lab);
  await using course = new Course(lab, { from: 1, ...options, startedAt });
  const told = (problems: readonly string[], processes: readonly ProcessReport[] = []): Told => {
    return { rounds: course.rounds, steps: course.steps, processes, problems };
  };
  try {
    await begin(lab, options, startedAt);
    await course.run(await topologyIn(lab));
    const { problems, processes } = await compare(lab, course.warm ?? new Map(), signal);
    if (problems.length > 0) return { ...told(problems, processes), evidence: await saveEvidence(lab) };
    say(growthText(processes));
    return told(await foreign(lab, bare, signal), processes);
  } catch (error) {
    signal.throwIfAborted();
    const failed = error instanceof SoakError ? { failed: error.round } : {};
    return { ...told([saidBy(error)]), ...failed, evidence: await saveEvidence(lab) };
  }
}

/** Until everything is reached for the first time. */
async function begin(lab: Lab, { seed, signal, say }: SoakOptions, startedAt: number): Promise<void> {
  const expected = { topology: topologyOf(lab.layout, true), faults: [] };
  await expectReach(lab, expected, { signal, patienceMs: START_MS });
  say(`Whole after ${Math.round((performance.now() - startedAt) / 1000)} s. Seed ${seed}`);
}

/** Of a lab in which all tunnels are up. */
async function topologyIn(lab: Lab): Promise<SoakTopology> {
  const gateways = lab.nodes.filter(({ role }) => role === 'gateway');
  const programs = await Promise.all(gateways.map(({ place }) => lab.programs(place)));
  return topologyOf(
    lab.layout,
    programs.some((running) => [...running.values()].includes('wireguard-go')),
  );
}

/** With what was held when all had warmed up. */
async function compare(
  lab: Lab,
  before: Holdings,
  signal: AbortSignal,
): Promise<Pick<Told, 'problems' | 'processes'>> {
  let now: Holdings = new Map();
  const problems = await waitFor(
    async () => {
      now = await readHoldings(lab);
      return growth(before, now);
    },
    { signal, patienceMs: PATIENCE_MS, lookMs: 1000 },
  );
  return { problems, processes: processReports(before, now) };
}

type States = ReadonlyMap<string, readonly string[]>;

async function statesOf(lab: Lab): Promise<States> {
  const states = lab.layout.places.map(async ({ name }) => {
    return [name, await readState(lab.place(name).run)] as const;
  });
  return new Map(await Promise.all(states));
}

/** Without the product, every kernel has to hold again what it held before it: its own is gone, and others' was left alone. */
async function foreign(lab: Lab, bare: States, signal: AbortSignal): Promise<readonly string[]> {
  for (const { name } of lab.layout.sites) await leaveSite(lab, name);
  return await waitFor(
    async () =>
      [...(await statesOf(lab))].flatMap(([place, state]) =>
        differences(bare.get(place) ?? [], state).map((line) => `${place}: ${line}`),
      ),
    { signal, patienceMs: PATIENCE_MS, lookMs: 1000 },
  );
}
