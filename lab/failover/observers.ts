// Who looks on while something is broken: at the kernels' groups, and at what a pod can reach.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../lab.ts';
import { askEnd } from '../ends.ts';
import { now } from '../traffic/clock.ts';
import { switchesIn, type Said, type Switch } from './switches.ts';

/** Each kernel's own account of the groups of its nexthops. */
export class SwitchWatch implements AsyncDisposable {
  readonly #told = new Map<string, Said[]>();
  readonly #children = new Map<string, ChildProcess>();

  /** Sees what changes from the moment that this resolves. */
  static async start(lab: Lab): Promise<SwitchWatch> {
    const watch = new SwitchWatch();
    try {
      await Promise.all(lab.nodes.map(({ place }) => watch.#watch(lab, place)));
    } catch (error) {
      await watch[Symbol.asyncDispose]();
      throw error;
    }
    return watch;
  }

  async #watch(lab: Lab, place: string): Promise<void> {
    const node = lab.place(place);
    const [program, ...prefix] = await node.entry();
    const child = spawn(program, [...prefix, 'ip', 'monitor', 'nexthop'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#children.set(place, child);
    const told: Said[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => told.push({ at: now(), line }));
    // It does not say when it has begun.
    await sleep(200);
    const held = (await node.exec(['ip', 'nexthop'])).split('\n');
    const at = now();
    // What changed in between is in both, and no change of what is held.
    this.#told.set(place, told);
    told.unshift(...held.map((line) => ({ at, line })));
  }

  /** What one kernel said until now. */
  said(place: string): readonly Said[] {
    return this.#told.get(place) ?? [];
  }

  /** Until now. */
  switches(): Switch[] {
    return [...this.#told].flatMap(([place, told]) => switchesIn(place, told));
  }

  /** @throws {Error} if a kernel was not listened to all the time: what it changed then, nobody knows */
  async end(): Promise<Switch[]> {
    const [deaf] = [...this.#children].find(([, child]) => hasEnded(child)) ?? [];
    await this[Symbol.asyncDispose]();
    if (deaf !== undefined) throw new Error(`Cannot tell what changed in "${deaf}": "ip monitor" has ended`);
    return this.switches();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [...this.#children.values()].map(async (child) => {
        if (hasEnded(child)) return;
        const closed = once(child, 'close');
        child.kill('SIGKILL');
        await closed;
      }),
    );
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** One attempt of a pod to open a connection. */
export interface Attempt {
  /** When it ended. */
  readonly at: number;
  /** `EHOSTUNREACH`, `timeout` …; absent: it was opened. */
  readonly error?: string | undefined;
}

const EVERY_MS = 50;
/**
 * An answer that comes while the call that sent the SYN still holds its socket is put off until the next one, a second later: over IPv6
 * that is how all of them come where a pod's own host answers (Linux 6.18), over IPv4 some.
 */
const PATIENCE_MS = 1500;

export function isRefused({ error }: Pick<Attempt, 'error'>): boolean {
  return /UNREACH/.test(error ?? '');
}

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
