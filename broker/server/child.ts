// One nats-server as our child: started, watched, started again when it dies or hangs, and ended with us.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '#lib/errors';
import { Sparing } from '#lib/log';
import type { Log } from '#lib/log';
import { readIfThere, writeWhole } from './files.ts';

export interface ChildOptions {
  readonly program: string;
  readonly configuration: string;
  /** Where the child's process id is kept, so that one which outlived us is found again. */
  readonly pidFile: string;
  readonly log: Log;
  /** Called before every start: whatever the server reads has to be there. */
  readonly prepare: () => Promise<void>;
  /** Milliseconds without an answer after which a server that still runs is ended. @default 15000 */
  readonly hangMs?: number;
}

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;
/** A server that lived this long starts again without delay. */
const HEALTHY_MS = 30_000;
const READY_MS = 15_000;
const STOP_MS = 5_000;
/**
 * Members notice a server that hangs after three seconds, and wait. A disk that stalls does not keep a server from
 * answering pings, and a machine that is merely slow answers within this; a deadlock never does.
 */
const HANG_MS = 15_000;
const LOOK_MS = 500;
/** Lines that the server wrote last; the reason of a failed start is among them. */
const KEPT_LINES = 20;

interface Running {
  readonly process: ChildProcess;
  readonly exited: Promise<void>;
  readonly lines: string[];
  /** When it was started, on the monotonic clock. */
  readonly since: number;
}

/**
 * A supervised nats-server.
 *
 *   start ──► running ──exit, or ended because it hangs──► waiting (back-off) ──► running …
 *     │          └──────────── dispose ────────────► stopped
 *     └─ first start fails: the error is the caller's
 */
export class NatsChild implements AsyncDisposable {
  readonly #options: ChildOptions;
  readonly #stopping = new AbortController();
  #current: Running | undefined;
  #supervision: Promise<void> = Promise.resolve();
  #guarding: Promise<void> = Promise.resolve();

  private constructor(options: ChildOptions) {
    this.#options = options;
  }

  /** @throws {Error} when the server does not come up; its own last words are in the message */
  static async start(options: ChildOptions): Promise<NatsChild> {
    const child = new NatsChild(options);
    await endOrphan(options);
    await child.#launch();
    child.#supervision = child.#supervise();
    return child;
  }

  get pid(): number | undefined {
    return this.#current?.process.pid;
  }

  /** From now on, ends a server that answers nobody. `silence`: milliseconds since it last answered, 0 while it does. */
  guard(silence: () => number): void {
    this.#guarding = this.#guard(silence);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    if (this.#current !== undefined) await end(this.#current);
    await Promise.all([this.#supervision, this.#guarding]);
    await rm(this.#options.pidFile, { force: true });
  }

  async #launch(): Promise<void> {
    const { prepare, program, configuration, pidFile, log } = this.#options;
    await prepare();
    // Disposed meanwhile: what is started now would be nobody's.
    this.#stopping.signal.throwIfAborted();
    const running = launch(program, configuration, log);
    this.#current = running;
    try {
      await ready(running);
    } catch (error) {
      await end(running);
      throw error;
    }
    await writeWhole(pidFile, `${running.process.pid} ${await startOf(running.process.pid)}\n`);
  }

  async #guard(silence: () => number): Promise<void> {
    const { log, hangMs = HANG_MS } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
      const current = this.#current;
      // One that has just been started is given as long to answer for the first time.
      if (current === undefined || performance.now() - current.since < hangMs || silence() < hangMs) continue;
      if (current.process.exitCode !== null || current.process.signalCode !== null) continue;
      log.error({ pid: current.process.pid }, 'nats-server hangs; ending it');
      current.process.kill('SIGKILL');
      await current.exited;
    }
  }

  async #supervise(): Promise<void> {
    const { log } = this.#options;
    let wait = FIRST_WAIT_MS;
    while (!this.#stopping.signal.aborted) {
      const since = performance.now();
      await this.#current?.exited;
      if (this.#stopping.signal.aborted) return;
      if (performance.now() - since > HEALTHY_MS) wait = FIRST_WAIT_MS;
      log.error({ waitMs: wait }, 'nats-server ended; starting it again');
      await sleep(wait, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      wait = Math.min(2 * wait, LONGEST_WAIT_MS);
      if (this.#stopping.signal.aborted) return;
      await this.#launch().catch((error: unknown) => {
        if (!this.#stopping.signal.aborted) log.error({ error }, 'nats-server does not start');
      });
    }
  }
}

function launch(program: string, configuration: string, log: Log): Running {
  const child = spawn(program, ['-c', configuration], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const lines: string[] = [];
  const sparing = new Sparing({ now: () => performance.now() });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      report(line, log, sparing);
    });
  }
  return { process: child, exited, lines, since: performance.now() };
}

/** Whoever reaches the port can make the server complain: one line a minute about the same thing, whoever it is about. */
function report(line: string, log: Log, sparing: Sparing): void {
  const server = line.replace(/^\[\d+\] /, '');
  const said = /\[(ERR|FTL)\].*$/.exec(server)?.[0];
  if (said === undefined) {
    log.debug({ server }, 'nats-server says');
    return;
  }
  const allowed = sparing.ask(said.replaceAll(/\S*\d\S*/g, '#').slice(0, 120));
  if (allowed !== undefined) log.warn({ server, ...allowed }, 'nats-server says');
}

async function ready({ process: child, exited, lines }: Running): Promise<void> {
  const deadline = performance.now() + READY_MS;
  let gone = false;
  void exited.then(() => (gone = true));
  while (!lines.some((line) => line.includes('Server is ready'))) {
    await sleep(10);
    if (!gone && performance.now() < deadline) continue;
    const said =
      lines.findLast((line) => /\[(FTL|ERR)\]|nats-server:/.test(line)) ?? lines.at(-1) ?? 'nothing';
    const what = gone
      ? `it ended with status ${child.exitCode ?? child.signalCode}`
      : 'it is not ready in time';
    throw new Error(`Cannot start nats-server: ${what} and said: ${said.replace(/^\[\d+\] /, '')}`);
  }
}

async function end({ process: child, exited }: Running): Promise<void> {
  child.kill('SIGTERM');
  // A stopped process takes no other signal.
  const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await exited;
  clearTimeout(kill);
}

/** Ends the server that an earlier broker of this directory left behind when it was killed; nobody else's. */
async function endOrphan({ pidFile, configuration, log }: ChildOptions): Promise<void> {
  const [pid = 0, start] = ((await readIfThere(pidFile)) ?? '').split(/\s/).map(Number);
  if (!(pid > 1) || (await startOf(pid)) !== start) return;
  const command = (await readIfThere(`/proc/${pid}/cmdline`)) ?? '';
  if (!command.split('\0').includes(configuration)) return;
  log.warn({ pid }, 'Ending the nats-server that an earlier broker left behind');
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    tryKill(pid, signal);
    const deadline = performance.now() + STOP_MS;
    while (performance.now() < deadline && (await startOf(pid)) === start) await sleep(20);
  }
}

function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

/** When a process started, in the kernel's ticks: with the id, it names one process for good. Undefined: it is gone. */
async function startOf(pid: number | undefined): Promise<number | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}
