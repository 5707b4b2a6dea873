// `clusterctl drain` and `undrain`: takes a gateway of this host, or the way to another cluster, out of use without a loss.

import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { parseClusterId } from '#lib/names';
import { SiteReader, writeDrains } from '#site';
import type { Drains } from '#site';
import { clusterOf } from '#topology';
import type { Context } from './context.ts';
import { readDaemonState } from './daemon.ts';
import { DIRECTORIES } from './directories.ts';
import { CliError, EXIT, unlessUnreachable } from './exit.ts';
import { startProgress } from './progress.ts';

export interface DrainOptions {
  readonly site?: string;
  readonly node?: string;
  readonly statusPort?: number;
  /** Also where nothing else leads to a cluster. */
  readonly force?: boolean;
}

/** What is drained: this host's gateway, or the way to a cluster. */
export type Drained = 'gateway' | 'cluster';

export interface Subject {
  readonly what: Drained;
  /** Of gateways, that of this host; there it may be left out. */
  readonly name: string | undefined;
}

/** What is read of the gateway daemon's state. */
const STATE = v.looseObject({
  component: v.literal('gateway'),
  node: v.string(),
  fleet: v.looseObject({ remotes: v.array(v.looseObject({ id: v.string(), index: v.number() })) }),
  host: v.looseObject({ healthy: v.array(v.string()) }),
  carries: v.array(v.string()),
  /** Indexes of clusters that other own gateways lead to which do not drain. */
  relief: v.array(v.number()),
});
type State = v.InferOutput<typeof STATE>;

/** Milliseconds that flows may take to go another way; those that do not end on their own stay. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 500;

export async function drain(context: Context, { what, name }: Subject, options: DrainOptions): Promise<void> {
  const state = await readState(options);
  const target = targetOf({ what, name }, state, options);
  const only = what === 'gateway' ? onlyWay(state) : [target].filter((id) => isReached(id, state));
  if (only.length > 0 && options.force !== true) throw lastPath(what, target, only);
  await change(options, what, (list) => [...list, target]);
  const progress = startProgress(context);
  const subject = what === 'gateway' ? reached(state) : new Set([target]);
  const left = await progress(`Draining ${what} ${target}`, () => emptied(context, subject, options));
  context.terminal.say(
    left.length === 0
      ? `Nothing passes ${what} ${target} any more. Take it back into use: clusterctl undrain ${what}${nameOf(what, target)}`
      : `Packets of ${left.join(', ')} still pass. Look again: clusterctl show paths`,
  );
}

/** Needs no daemon: one that is started again finds itself in use. */
export async function undrain(
  { terminal }: Context,
  { what, name }: Subject,
  options: DrainOptions,
): Promise<void> {
  const target =
    what === 'cluster' ? parseClusterId(name ?? '') : (name ?? options.node ?? (await ownNode(options)));
  const isChanged = await change(options, what, (list) => list.filter((each) => each !== target));
  terminal.say(isChanged ? `${what} ${target} is in use again` : `${what} ${target} was not drained`);
}

function nameOf(what: Drained, target: string): string {
  return what === 'cluster' ? ` ${target}` : '';
}

async function ownNode(options: DrainOptions): Promise<string> {
  const state = await readState(options).catch(unlessUnreachable);
  return state?.node ?? hostname();
}

/** @throws {CliError} where no gateway daemon answers: what passes it, and what else there is, only it knows */
async function readState({ statusPort }: DrainOptions): Promise<State> {
  const said = await readDaemonState(statusPort);
  const result = v.safeParse(STATE, said);
  if (result.success) return result.output;
  throw new CliError(
    EXIT.unreachable,
    'Cannot drain from this host: no gateway daemon answers on it. Run this on the gateway. See: systemctl status isthmus-gateway',
  );
}

function targetOf({ what, name }: Subject, state: State, { node }: DrainOptions): string {
  if (what === 'cluster') {
    const id = parseClusterId(name ?? '');
    if (state.fleet.remotes.some((remote) => remote.id === id)) return id;
    throw new CliError(
      EXIT.usage,
      `Cannot drain "${id}": there is no such cluster. See: clusterctl show clusters`,
    );
  }
  const asked = name ?? node ?? state.node;
  if (asked === state.node) return asked;
  throw new CliError(
    EXIT.usage,
    `Cannot drain "${asked}": this host is "${state.node}", and only a gateway itself knows what passes it. Run this on ${asked}`,
  );
}

/** Clusters that this gateway has a tunnel for. */
function reached({ host }: State): ReadonlySet<string> {
  return new Set(host.healthy.map(clusterOf));
}

/** Whether any own gateway leads there that does not drain. */
function isReached(cluster: string, state: State): boolean {
  const { fleet, relief } = state;
  const isRelieved = fleet.remotes.some(({ id, index }) => id === cluster && relief.includes(index));
  return isRelieved || reached(state).has(cluster);
}

/** Clusters that no other own gateway has a tunnel for, or only one that drains. */
function onlyWay(state: State): string[] {
  const others = new Set(state.relief);
  const mine = reached(state);
  return state.fleet.remotes
    .filter(({ id, index }) => mine.has(id) && !others.has(index))
    .map(({ id }) => id);
}

function lastPath(what: Drained, target: string, only: readonly string[]): CliError {
  const reason =
    what === 'gateway'
      ? `no other gateway that stays leads to ${only.join(', ')}`
      : 'its addresses would be unreachable from here';
  return new CliError(
    EXIT.refused,
    `Cannot drain ${what} "${target}": ${reason}. Do it all the same with --force`,
  );
}

/** Whether the list is another one now. */
async function change(
  { site = DIRECTORIES.site }: DrainOptions,
  what: Drained,
  next: (list: readonly string[]) => readonly string[],
): Promise<boolean> {
  const { drains } = await new SiteReader(site).drains();
  const changed: Drains =
    what === 'gateway'
      ? { ...drains, gateways: unique(next(drains.gateways)) }
      : { ...drains, clusters: unique(next(drains.clusters)).map(parseClusterId) };
  const isChanged = JSON.stringify(changed) !== JSON.stringify(drains);
  if (isChanged) await writeDrains(site, changed);
  return isChanged;
}

function unique(list: readonly string[]): string[] {
  return [...new Set(list)].toSorted();
}

/** What is still carried when patience ends; nothing once two looks in a row saw nothing. */
async function emptied(
  { signal }: Context,
  clusters: ReadonlySet<string>,
  options: DrainOptions,
): Promise<readonly string[]> {
  let carried: readonly string[] = [...clusters];
  let calm = 0;
  for (const end = performance.now() + PATIENCE_MS; calm < 4 && performance.now() < end;) {
    await delay(LOOK_MS, undefined, { signal });
    // A daemon that is restarted, or late, drains all the same.
    const state = await readState(options).catch(unlessUnreachable);
    if (state === undefined) continue;
    carried = state.carries.filter((cluster) => clusters.has(cluster));
    calm = carried.length === 0 ? calm + 1 : 0;
  }
  return carried;
}
