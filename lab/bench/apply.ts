// How long it takes until a kernel holds a thousand clusters, beside the same commands replayed without us.

import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { applyPlan } from '#host';
import type { AppliedPlan } from '#host';
import { Lab } from '#lab';
import type { LabPlace } from '#lab';
import { cleanState } from '#lib/linux';
import type { Command, Run } from '#lib/linux';
import { openWireGuard, PrivateKey } from '#lib/wireguard';
import type { WireGuardSupport } from '#lib/wireguard';
import { createPlanner } from '#topology';
import type { HostPlan } from '#topology';
import { atMost, median, ratioRow } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { changed, CLUSTERS, gatewayHost, LANES, largeFleet } from './fleet.ts';

const ROUNDS = 5;
const CHANGES = 4;

/** Keeps what was run, so that it can be run again by itself. */
function recorder(run: Run): { readonly run: Run; readonly commands: readonly Command[] } {
  const commands: Command[] = [];
  return {
    commands,
    run: (command) => {
      commands.push(command);
      return run(command);
    },
  };
}

/** Looks and changes nothing. */
function isReading({ argv }: Command): boolean {
  return argv.some((word) => word === 'show' || word === 'list' || word === '-n');
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

async function replay(run: Run, commands: readonly Command[]): Promise<void> {
  for (const command of commands) await run(command).catch(() => '');
}

/** One gateway's namespace, and what it takes to apply plans in it. */
class Bench {
  readonly #place: LabPlace;
  readonly #stateDir: string;
  readonly #wireguard: WireGuardSupport['wireguard'];
  readonly #keys = Array.from({ length: LANES }, () => PrivateKey.generate());
  #before: AppliedPlan['devices'] = [];

  constructor(place: LabPlace, stateDir: string, wireguard: WireGuardSupport['wireguard']) {
    this.#place = place;
    this.#stateDir = stateDir;
    this.#wireguard = wireguard;
  }

  get run(): Run {
    return this.#place.run;
  }

  async apply(run: Run, plan: HostPlan): Promise<void> {
    const options = { stateDir: this.#stateDir, keys: this.#keys, before: this.#before };
    const { wireguard } =
      this.#wireguard === 'kernel' ? { wireguard: 'kernel' as const } : await openWireGuard(run);
    const applied = await applyPlan(run, plan, { ...options, wireguard });
    const [failure] = applied.failures;
    if (failure !== undefined) throw new Error(`Cannot apply the plan: ${failure.what}: ${failure.reason}`);
    this.#before = applied.devices;
  }

  async clean(): Promise<void> {
    await cleanState(this.run, { stateDir: this.#stateDir });
    this.#before = [];
  }
}

interface Times {
  readonly value: number;
  readonly reference: number;
}

/** From nothing, by us; then the same changing commands once more, from nothing. */
async function fromNothing(bench: Bench, plan: HostPlan): Promise<Times> {
  const values: number[] = [];
  const references: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const recorded = recorder(bench.run);
    values.push(await milliseconds(() => bench.apply(recorded.run, plan)));
    await bench.clean();
    const lines = recorded.commands.filter((command) => !isReading(command));
    references.push(await milliseconds(() => replay(bench.run, lines)));
    await bench.clean();
  }
  return { value: median(values), reference: median(references) };
}

/** One cluster's change and its undoing, by us; beside the same commands, reading included. */
async function oneChange(bench: Bench): Promise<Times> {
  const planner = createPlanner();
  let fleet = largeFleet();
  const host = gatewayHost(fleet);
  await bench.apply(bench.run, planner(fleet, host));
  const values: number[] = [];
  const references: number[] = [];
  for (let round = 1; round <= ROUNDS * CHANGES; round += 1) {
    fleet = changed(fleet, round);
    const plan = planner(fleet, host);
    const recorded = recorder(bench.run);
    values.push(await milliseconds(() => bench.apply(recorded.run, plan)));
    references.push(await milliseconds(() => replay(bench.run, recorded.commands)));
  }
  return { value: median(values), reference: median(references) };
}

export const applyBenchmark: Benchmark = {
  id: 'apply',
  what: `a plan of ${CLUSTERS} clusters, from nothing and after one change, beside the same commands replayed`,
  async run({ say }) {
    const site = { gateways: 1, workers: 0, hostProcesses: 0, kubeProxy: false } as const;
    await using lab = await Lab.up({ sites: { own: site } }, { name: `ba-${process.pid % 100_000}` });
    const stateDir = await mkdtemp(path.join(os.tmpdir(), 'isthmus-bench-'));
    try {
      const place = lab.place('own/gw-0');
      const bench = new Bench(place, stateDir, (await openWireGuard(place.run)).wireguard);
      const fleet = largeFleet();
      say('from nothing');
      const full = await fromNothing(bench, createPlanner()(fleet, gatewayHost(fleet)));
      say('one change');
      const change = await oneChange(bench);
      const common = { unit: 'ms', referenceIs: 'same commands' };
      return [
        ratioRow({ what: `${CLUSTERS} clusters applied`, ...common, ...full, target: atMost(1.2) }),
        ratioRow({ what: "one cluster's change applied", ...common, ...change, target: atMost(1.5) }),
      ];
    } finally {
      await rm(stateDir, { recursive: true, force: true });
    }
  },
};
