// Who looks on while something is broken: at the kernels' groups, and at what a pod can reach.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../lab.ts';
import { askEnd } from '../ends.ts';
import { now } from '../traffic/clock.ts';
import { switchesIn, type Switch } from './switches.ts';

/** Each kernel's own account of the groups of its nexthops. */
export class SwitchWatch implements AsyncDisposable {
  readonly #said = new Map<string, string[]>();
  readonly #children: ChildProcess[] = [];

  /** Sees what changes from the moment that this resolves. */
  static async start(lab: Lab): Promise<SwitchWatch> {
    const watch = new SwitchWatch();
    await Promise.all(lab.nodes.map(({ place }) => watch.#watch(lab, place)));
    return watch;
  }

  async #watch(lab: Lab, place: string): Promise<void> {
    const node = lab.place(place);
    const [program, ...prefix] = await node.entry();
    const child = spawn(program, [...prefix, 'ip', 'monitor', 'nexthop'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#children.push(child);
    const told: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => told.push(line));
    // It does not say when it has begun.
    await sleep(200);
    const held = (await node.exec(['ip', 'nexthop'])).split('\n');
    // What changed in between is in both, and no change of what is held.
    this.#said.set(place, told);
    told.unshift(...held);
  }

  async end(): Promise<Switch[]> {
    await this[Symbol.asyncDispose]();
    return [...this.#said].flatMap(([place, lines]) => switchesIn(place, lines));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const closed = once(child, 'close');
        child.kill('SIGKILL');
        await closed;
      }),
    );
  }
}

/** One attempt of a pod to open a connection. */
export interface Attempt {
  /** When it ended. */
  readonly at: number;
  /** `EHOSTUNREACH`, `timeout` …; absent: it was opened. */
  readonly error?: string | undefined;
}

const EVERY_MS = 50;
const PATIENCE_MS = 400;

/** A pod opens new connections at a steady pace, whatever becomes of the others. */
export class ReachWatch {
  readonly #stop = new AbortController();
  readonly #attempts: Promise<Attempt[]>;

  constructor(lab: Lab, from: string, address: string) {
    this.#attempts = this.#run(lab.home.socket(from), address);
    this.#attempts.catch(() => {});
  }

  async #run(socket: string, address: string): Promise<Attempt[]> {
    const attempts: Promise<Attempt>[] = [];
    while (!this.#stop.signal.aborted) {
      const attempt = this.#attempt(socket, address);
      attempt.catch(() => {});
      attempts.push(attempt);
      await sleep(EVERY_MS);
    }
    return (await Promise.all(attempts)).toSorted((a, b) => a.at - b.at);
  }

  async #attempt(socket: string, address: string): Promise<Attempt> {
    const [result] = await askEnd(socket, [{ protocol: 'tcp', address, timeoutMs: PATIENCE_MS }], 1);
    return { at: now(), error: result?.error };
  }

  async end(): Promise<Attempt[]> {
    this.#stop.abort();
    return this.#attempts;
  }
}
