// What the daemons of a host have in common: its lock, the loop and what wakes it, status on loopback.

import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { condition } from '#lib/conditions';
import { messageOf } from '#lib/errors';
import { openLog } from '#lib/log';
import type { Log } from '#lib/log';
import { openMetrics, serveStatus } from '#lib/metrics';
import type { Histogram, Metrics } from '#lib/metrics';
import { requireRoot } from './check.ts';
import type { Flags, Program } from './flags.ts';
import { lockHost } from './lock.ts';
import { Loop } from './loop.ts';
import type { Again } from './loop.ts';
import { kernelWatches } from './monitor.ts';
import type { KernelChange } from './monitor.ts';
import { Pace } from './pace.ts';
import { Conditions, exposeConditions } from './report.ts';

/** What a daemon's own parts are given. */
export interface DaemonTools {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly conditions: Conditions;
  readonly signal: AbortSignal;
  /** Asks for a pass within so many milliseconds. */
  readonly wake: (delayMs?: number) => void;
}

/** A daemon's own parts. */
export interface DaemonParts extends AsyncDisposable {
  /** Looks at everything and makes it right. */
  pass(): Promise<Again>;
  /** The kernel says that something changed; a pass follows. Whether it is pressing: what is most often our own doing is not. */
  noticed(what: KernelChange): boolean;
  /** Why it is not ready; undefined when it is. */
  ready(): string | undefined;
  state(): object;
  /** Run beside the loop and wake it, each until the signal aborts. */
  readonly sources: readonly (() => Promise<void>)[];
}

export interface DaemonOptions {
  readonly program: Program;
  readonly flags: Flags;
  readonly signal: AbortSignal;
  /** Builds the daemon's parts, once the host is locked. */
  readonly open: (tools: DaemonTools) => Promise<DaemonParts>;
}

/** Milliseconds in which changes gather: of what plans start from, of what is repaired at once, of what is only looked at again. */
const WAIT_MS = { facts: 50, damage: 20, ours: 1000 } as const;

/** Runs until the signal aborts or a pass is the last. What is in the kernel stays there. */
export async function runDaemon({ program, flags, signal, open }: DaemonOptions): Promise<void> {
  requireRoot();
  const log = openLog({ component: program.name, level: flags.logLevel });
  const metrics = openMetrics({ component: program.name, version: program.version });
  await using held = new AsyncDisposableStack();
  held.use(await lockHost(flags.state, program.name));
  const stop = new AbortController();
  const ended = AbortSignal.any([signal, stop.signal]);
  const conditions = new Conditions(log);
  exposeConditions(conditions, metrics);
  let loop: Loop | undefined;
  const wake = (delayMs?: number): void => loop?.wake(delayMs);
  const parts = held.use(await open({ log, metrics, conditions, signal: ended, wake }));
  const { pass, failed } = reported(flags.node, () => parts.pass(), { log, metrics, conditions });
  loop = new Loop({ pass, failed, signal: ended });
  held.use(await serve({ program, flags }, parts, { metrics, conditions }));
  const pace = new Pace();
  const changed = (what: KernelChange): void => {
    const isPressing = parts.noticed(what);
    const waitMs = what === 'facts' ? WAIT_MS.facts : WAIT_MS.damage;
    wake(isPressing ? pace.wait(performance.now(), waitMs) : WAIT_MS.ours);
  };
  const sources = [...kernelWatches({ signal: ended, changed }), ...parts.sources];
  const running = sources.map((source) => kept(source, log, ended));
  log.info({ node: flags.node }, 'Started');
  await loop.run();
  stop.abort();
  await Promise.all(running);
  log.info('Stopped; what the kernel holds stays');
}

function serve(
  { program, flags }: Pick<DaemonOptions, 'program' | 'flags'>,
  parts: DaemonParts,
  { metrics, conditions }: Pick<DaemonTools, 'metrics' | 'conditions'>,
): Promise<AsyncDisposable> {
  const { name, version } = program;
  const { pid } = process;
  const self = { component: name.replace('isthmus-', ''), version, node: flags.node, pid, since: new Date() };
  return serveStatus({
    port: flags.statusPort,
    registry: metrics,
    ready: () => parts.ready(),
    state: () => ({ ...self, ...parts.state(), conditions: conditions.all() }),
  });
}

/** Milliseconds until a source that ended is started again, from the first to the last; one that ran for longer counts as sound. */
const FIRST_RESTART_MS = 1000;
const LAST_RESTART_MS = 30_000;

/** A source that ends is started again: no daemon goes on half deaf. */
async function kept(source: () => Promise<void>, log: Log, signal: AbortSignal): Promise<void> {
  let wait = FIRST_RESTART_MS;
  while (!signal.aborted) {
    const started = performance.now();
    try {
      await source();
    } catch (error) {
      if (!signal.aborted) log.warn({ error }, 'A watch ended; it is started again');
    }
    if (performance.now() - started > LAST_RESTART_MS) wait = FIRST_RESTART_MS;
    await delay(wait, undefined, { signal }).catch(() => undefined);
    wait = Math.min(wait * 2, LAST_RESTART_MS);
  }
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

/** Measures passes; a failure is a condition until one succeeds, however often it is repeated. */
function reported(
  node: string,
  pass: () => Promise<Again>,
  { log, metrics, conditions }: Pick<DaemonTools, 'log' | 'metrics' | 'conditions'>,
): { pass: () => Promise<Again>; failed: (error: unknown) => void } {
  const help = 'Time that passes over this host took, by how they ended';
  const seconds: Histogram<'result'> = metrics.histogram('isthmus_pass_seconds', help, SECONDS, ['result']);
  let started = 0;
  const observe = (result: string): void => seconds.observe({ result }, (performance.now() - started) / 1000);
  return {
    pass: async () => {
      started = performance.now();
      const again = await pass();
      observe('done');
      conditions.set('pass', []);
      return again;
    },
    failed: (error) => {
      observe('failed');
      log.debug({ error }, 'A pass failed');
      const reason = messageOf(error);
      conditions.set('pass', [condition('IST_HOST_UNUSABLE', node, { reason })]);
    },
  };
}
