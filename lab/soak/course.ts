// Goes through the rounds of a script in a lab, and looks after each step whether what has to hold does.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../faults/fault.ts';
import { findFaults } from '../faults/left.ts';
import type { Lab } from '../lab.ts';
import { expectDaemons, saidBy } from '../product.ts';
import { applyFault } from './apply.ts';
import type { SoakFault } from './faults.ts';
import { waitFor } from './patience.ts';
import { expectReach, PATIENCE_MS, STEP_PATIENCE_MS } from './reach.ts';
import { clockText, reachText, stepText, type StepReport } from './report.ts';
import { leastMs, rounds, type Round, type Step } from './script.ts';
import type { SoakTopology } from './topology.ts';
import { most, type Holdings } from './usage.ts';
import { readHoldings } from './watch.ts';

export interface CourseOptions {
  readonly seed: number;
  /** Number of the first round. */
  readonly from: number;
  /** From the beginning to the end of the last round. */
  readonly forMs: number;
  /** So many, however long they take. @default 1 */
  readonly leastRounds?: number;
  /** When that was, by performance.now(). */
  readonly startedAt: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** What a round takes beyond what it holds its faults for: commands that wait, and looks. */
const RESERVE_MS = 10_000;
/** What is held by then is what later is compared with: of the whole, this share. */
const WARM_UP = 1 / 5;

/** Something did not hold. */
export class SoakError extends Error {
  readonly round: number;

  constructor(step: Pick<Step, 'id'>, text: string, cause: unknown) {
    super(`${text}: ${saidBy(cause)}`, { cause });
    this.round = Number.parseInt(step.id, 10);
  }
}

export class Course implements AsyncDisposable {
  readonly steps: StepReport[] = [];
  /** The most that each process held while everything warmed up. */
  warm: Holdings | undefined;
  rounds = 0;
  readonly #lab: Lab;
  readonly #options: CourseOptions;
  readonly #broken = new Map<SoakFault, Fault>();

  constructor(lab: Lab, options: CourseOptions) {
    this.#lab = lab;
    this.#options = options;
  }

  /** @throws {SoakError} at the first that does not hold */
  async run(topology: SoakTopology): Promise<void> {
    const { seed, from, forMs, leastRounds = 1 } = this.#options;
    for (const round of rounds({ seed, topology }, from)) {
      const isLate = this.#elapsedMs() + leastMs(round) + RESERVE_MS > forMs;
      if (isLate && this.rounds >= leastRounds) return;
      for (const step of round.steps) await this.#step(step, topology);
      await this.#whole(round);
      this.rounds += 1;
      if (this.warm === undefined || this.#elapsedMs() < forMs * WARM_UP) await this.#warmUp();
    }
  }

  #elapsedMs(): number {
    return performance.now() - this.#options.startedAt;
  }

  async #warmUp(): Promise<void> {
    const now = await readHoldings(this.#lab);
    this.warm = this.warm === undefined ? now : most(this.warm, now);
  }

  async #step(step: Step, topology: SoakTopology): Promise<void> {
    const { signal, say } = this.#options;
    const text = stepText(step);
    const atS = this.#elapsedMs() / 1000;
    try {
      await this.#act(step);
      await sleep(step.holdMs, undefined, { signal });
      const looked = performance.now();
      const expected = { topology, faults: step.inForce };
      const reach = await expectReach(this.#lab, expected, { signal, patienceMs: STEP_PATIENCE_MS });
      const { id, action, fault, inForce } = step;
      const waitedMs = Math.round(performance.now() - looked);
      const report = { id, action, fault, inForce, atS: Math.round(atS), ...reach, waitedMs };
      this.steps.push(report);
      say(`${clockText(atS)}  ${text}: ${reachText(report)}`);
    } catch (cause) {
      throw new SoakError(step, `${clockText(atS)}  ${text}`, cause);
    }
  }

  async #act({ action, fault }: Step): Promise<void> {
    if (action === 'break') {
      this.#broken.set(fault, await applyFault(this.#lab, fault, this.#options.signal));
      return;
    }
    await this.#broken.get(fault)?.undo();
    this.#broken.delete(fault);
  }

  /** Nothing is broken any more, and nobody has died of it. */
  async #whole({ number }: Round): Promise<void> {
    try {
      const { signal } = this.#options;
      await expectDaemons(
        this.#lab,
        this.#lab.layout.sites.map(({ name }) => name),
      );
      const left = await waitFor(() => findFaults(this.#lab), { signal, patienceMs: PATIENCE_MS });
      if (left.length > 0) throw new Error(left.join('; '));
    } catch (cause) {
      throw new SoakError({ id: `${number}` }, `after round ${number}`, cause);
    }
  }

  /** What goes on by itself, outside the lab, is ended; all else goes with the lab. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const [{ kind }, fault] of this.#broken)
      if (kind === 'starved' || kind === 'flapping') await fault.undo().catch(() => {});
  }
}
