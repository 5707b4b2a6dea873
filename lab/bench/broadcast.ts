// One publisher with its server, and the processes of those who listen to it.

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseClusterId } from '#lib/names';
import * as v from 'valibot';
import { quantile } from './benchmark.ts';

/** The cluster that says something. */
export const SPEAKER = parseClusterId('speaker');
/** Of plain NATS. */
export const SUBJECT = 'upd';
/** Processes that share the listeners of one side. */
const PROCESSES = 2;
/** Kernel ticks a second in /proc, on every architecture that Node runs on. */
const TICKS = 100;

export const AudienceOptions = v.object({
  /** On connections like members', whole members, or on plain NATS. */
  kind: v.picklist(['receivers', 'members', 'plain']),
  /** Directory of memberships. */
  root: v.string(),
  from: v.number(),
  to: v.number(),
  rounds: v.number(),
  /** Of the speaker. */
  account: v.string(),
  /** Of plain NATS. */
  servers: v.array(v.string()),
  ca: v.optional(v.string()),
});
type Options = v.InferOutput<typeof AudienceOptions>;
/** What an audience is told. */
export const TOLD = v.picklist(['listen', 'tell']);
/** What an audience says, as the event hands it on: without times when all have come. */
const Answer = v.looseTuple([v.object({ heard: v.array(v.array(v.number())) })]);

export interface SideOptions extends Omit<Options, 'from' | 'to'> {
  readonly listeners: number;
  /** Process id of the server. */
  readonly server: number;
  readonly publish: (round: number) => Promise<void>;
}

/** What one side took. */
export interface Taken {
  /** From each publication to each listener, ms. */
  readonly delays: readonly number[];
  /** Of the server for each publication, beyond what it takes when nothing is published; ms. */
  readonly cpuMs: number;
}

/** One publisher with its listeners, and the time that its server takes. */
export class Side implements Disposable {
  readonly #options: SideOptions;
  readonly #audiences: readonly ChildProcess[];
  readonly #published: number[] = [];

  private constructor(options: SideOptions, audiences: readonly ChildProcess[]) {
    this.#options = options;
    this.#audiences = audiences;
  }

  /** With everybody connected. */
  static async open(options: SideOptions): Promise<Side> {
    const { publish: _, server: __, listeners, ...rest } = options;
    const edge = (at: number): number => Math.round((at * listeners) / PROCESSES);
    const audiences = Array.from({ length: PROCESSES }, (_, at) => {
      const told: Options = { ...rest, from: edge(at), to: edge(at + 1) };
      return fork(path.join(import.meta.dirname, 'audience.ts'), [JSON.stringify(told)]);
    });
    const side = new Side(options, audiences);
    try {
      await Promise.all(audiences.map(answer));
    } catch (error) {
      side[Symbol.dispose]();
      throw error;
    }
    return side;
  }

  listen(): void {
    for (const audience of this.#audiences) audience.send('listen');
  }

  async publish(): Promise<void> {
    this.#published.push(performance.timeOrigin + performance.now());
    await this.#options.publish(this.#published.length);
  }

  /** CPU milliseconds of the server since it began. */
  async cpu(): Promise<number> {
    const stat = await readFile(`/proc/${this.#options.server}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS;
  }

  /** @throws {Error} when somebody has missed something */
  async delays(): Promise<readonly number[]> {
    const answers = this.#audiences.map(answer);
    for (const audience of this.#audiences) audience.send('tell');
    const all = (await Promise.all(answers)).flat();
    const missed = all.filter((times) => times.length !== this.#published.length).length;
    if (missed > 0) throw new Error(`Cannot measure: ${missed} of ${all.length} listeners missed something`);
    return all.flatMap((times) => times.map((at, round) => at - (this.#published[round] ?? at)));
  }

  [Symbol.dispose](): void {
    for (const audience of this.#audiences) audience.kill('SIGKILL');
  }
}

async function answer(audience: ChildProcess): Promise<number[][]> {
  const ended = new AbortController();
  const { signal } = ended;
  const gone = once(audience, 'exit', { signal }).then(() => {
    throw new Error('Cannot measure: an audience has ended');
  });
  try {
    const said: unknown = await Promise.race([once(audience, 'message', { signal }), gone]);
    return v.parse(Answer, said)[0].heard;
  } finally {
    gone.catch(() => {});
    ended.abort();
  }
}

/** What listeners have in common. */
export function p99({ delays }: Pick<Taken, 'delays'>): number {
  return quantile(delays, 0.99);
}
