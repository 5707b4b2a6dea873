// `clusterctl drill`: makes a failure on this host for a while, measures what it does, and ends it whatever happens.

import { setTimeout as delay } from 'node:timers/promises';
import type { Address } from '#lib/ip';
import { readDevices } from '#lib/wireguard';
import type { Context } from './context.ts';
import { brokerServers, checkAddresses, standingOf } from './drill-checks.ts';
import type { Standing, Subject } from './drill-checks.ts';
import { parsePing } from './drill-flows.ts';
import type { Times } from './drill-flows.ts';
import { clearLeftover, putTable, takeTable } from './drill-kernel.ts';
import { renderReport, reportOf } from './drill-report.ts';
import type { DrillReport } from './drill-report.ts';
import { drillTable } from './drill-rules.ts';
import type { Cut } from './drill-rules.ts';
import { cutOf, titleOf } from './drill-target.ts';
import { CliError, EXIT } from './exit.ts';
import type { Format } from './output-option.ts';
import { renderData } from './output.ts';
import { startPings } from './pings.ts';
import type { Pings } from './pings.ts';
import { startProgress } from './progress.ts';
import { askDaemon } from './snapshot.ts';
import type { DaemonState } from './snapshot.ts';

export interface DrillOptions {
  /** Seconds. */
  readonly for: number;
  readonly to?: readonly Address[];
  readonly secrets: string;
  readonly statusPort?: number;
  readonly output: Format;
}

/** Milliseconds of measurement before the failure, and after it: a path proves itself before it is used again. */
const CONTROL_MS = 3000;
const RETURN_MS = 5000;
/** Seconds beyond what is planned, after which pings end by themselves. */
const SPARE_SECONDS = 20;
/** Milliseconds before its end that the failure is looked at. */
const LOOK_MS = 500;

export async function drill(context: Context, subject: Subject, options: DrillOptions): Promise<void> {
  const { run, signal } = context;
  const { to: addresses = [], statusPort } = options;
  const first = await standingOf(subject, statusPort);
  checkAddresses(first, addresses);
  await clearLeftover(run);
  const table = drillTable(await cutNow(context, first, options), options.for);
  const clock = (): number => context.now().getTime();
  const begun = clock();
  using pings = await startPings(addresses, (CONTROL_MS + RETURN_MS) / 1000 + options.for + SPARE_SECONDS);
  const progress = startProgress(context);
  await progress('Measuring while nothing fails', () => delay(CONTROL_MS, undefined, { signal }));
  checkAnswers(pings, addresses);
  // Redundancy may have gone meanwhile.
  const standing = await standingOf(subject, statusPort);
  const failing = await fail(context, standing, { ...options, table });
  const isWhole = !failing.interrupted && (await progress('Measuring the return', () => comeBack(signal)));
  const ended = clock();
  const said = await pings.stop();
  const paths = (await askLate(statusPort))?.paths;
  const report = reportOf({
    ...factsOf(standing),
    ...failing,
    interrupted: !isWhole,
    times: { ...failing.times, begun, ended },
    flows: said.map((text, at) => ({ to: addresses[at] ?? '', ...parsePing(text) })),
    ...(paths && { paths }),
  });
  tell(context, options.output, report);
}

/** Whether nobody interrupted. */
async function comeBack(signal: AbortSignal): Promise<boolean> {
  return await delay(RETURN_MS, true, { signal }).catch(() => false);
}

/** What has been measured is worth a report also where the daemon is away by now, or begins anew. */
async function askLate(statusPort: number | undefined): Promise<DaemonState | undefined> {
  try {
    return (await askDaemon(statusPort))?.daemon;
  } catch (error) {
    if (error instanceof CliError) return undefined;
    throw error;
  }
}

async function cutNow({ run }: Context, { target, ground }: Standing, options: DrillOptions): Promise<Cut> {
  if (target.kind === 'broker') return { servers: await brokerServers(options.secrets) };
  return cutOf(target, ground, await readDevices(run));
}

function checkAnswers(pings: Pings, addresses: readonly Address[]): void {
  const silent = addresses.filter((_, at) => parsePing(pings.said()[at] ?? '').replies.length === 0);
  if (silent.length === 0) return;
  throw new CliError(
    EXIT.failed,
    `Cannot measure with ${silent.join(', ')}: no echo is answered, although nothing has failed yet. Give an address that answers ping: --to`,
  );
}

interface Failing {
  readonly times: Pick<Times, 'failed' | 'restored'>;
  readonly interrupted: boolean;
  readonly connected?: boolean;
}

/** Whatever happens between the two, the table is taken away; if not even that, its elements expire. */
async function fail(
  context: Context,
  { target }: Standing,
  options: DrillOptions & { readonly table: string },
): Promise<Failing> {
  const { run, now } = context;
  const failed = now().getTime();
  await putTable(run, options.table);
  const expires = now().getTime() + options.for * 1000;
  let restored = failed;
  let seen: Omit<Failing, 'times'>;
  try {
    const title = `Without ${titleOf(target)} for ${options.for} s; an interrupt ends it at once`;
    seen = await startProgress(context)(title, () => endure(context, target.kind === 'broker', options));
  } finally {
    restored = now().getTime();
    await takeTable(run, target, expires);
  }
  return { times: { failed, restored }, ...seen };
}

/** Waits until the failure's end, or an interrupt. */
async function endure(
  { signal }: Context,
  isBroker: boolean,
  { for: seconds, statusPort }: DrillOptions,
): Promise<Omit<Failing, 'times'>> {
  try {
    await delay(seconds * 1000 - LOOK_MS, undefined, { signal });
    const broker = isBroker ? (await askLate(statusPort))?.broker : undefined;
    await delay(LOOK_MS, undefined, { signal });
    return { interrupted: false, ...(broker?.connected !== undefined && { connected: broker.connected }) };
  } catch (error) {
    if (signal.aborted) return { interrupted: true };
    throw error;
  }
}

function factsOf({ target, ground, fleet, node }: Standing): {
  readonly kind: DrillReport['drill'];
  readonly target: string;
  readonly node: string;
  readonly cluster: string;
  readonly taken: readonly string[];
} {
  const taken = target.tunnels.map(({ id }) => id).filter((id) => ground.host.healthy.has(id));
  return { kind: target.kind, target: target.name, node, cluster: fleet.own.id, taken };
}

/** @throws {CliError} where the report is not a good one, after it */
function tell({ terminal }: Context, output: Format, report: DrillReport): void {
  terminal.out(
    output === 'table'
      ? renderReport(report, (style, text) => terminal.paint(style, text))
      : renderData(output, report),
  );
  const { verdict, summary } = report;
  const title = titleOf({ kind: report.drill, name: report.target });
  if (verdict === 'interrupted')
    throw new CliError(EXIT.interrupted, `Interrupted: the drill of ${title} has ended`);
  if (verdict === 'failed') throw new CliError(EXIT.failed, `Cannot rely on ${title}: ${summary}`);
  if (verdict === 'unknown') throw new CliError(EXIT.failed, `Cannot judge ${title}: ${summary}`);
}
