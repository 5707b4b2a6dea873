// `clusterctl drain` and `undrain`: takes a gateway of this host, or the way to another cluster, out of use without a loss.

import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { codeOf } from '#lib/errors';
import { parseClusterId } from '#lib/names';
import { changeDrains } from '#site';
import type { Drains } from '#site';
import { clusterOf, plan } from '#topology';
import type { Context } from './context.ts';
import { DIRECTORIES } from './directories.ts';
import { onlyWay } from './drill-target.ts';
import { CliError, EXIT } from './exit.ts';
import { askGateway, glanceAtGateway } from './gateway-daemon.ts';
import type { GatewaySnapshot, Question } from './gateway-daemon.ts';
import { startProgress } from './progress.ts';

export interface DrainOptions {
  readonly site?: string;
  readonly node?: string;
  readonly statusPort?: number;
  /** Also where nothing else leads to a cluster. */
  readonly force?: boolean;
  /** Milliseconds that flows may take to go another way; those that do not end on their own stay. @default 60_000 */
  readonly patienceMs?: number;
}

/** What is drained: this host's gateway, or the way to a cluster. */
export type Drained = 'gateway' | 'cluster';

export interface Subject {
  readonly what: Drained;
  /** Of gateways, that of this host; there it may be left out. */
  readonly name: string | undefined;
}

/** One that there is. */
interface Target {
  readonly what: Drained;
  readonly name: string;
}

const MORE = v.object({
  /** Clusters that packets flow to or from by this gateway. */
  carries: v.array(v.string()),
  /** How often the daemon has looked at that: it may not be able to. */
  looks: v.number(),
  /** What the daemon has read of drains.yaml. */
  rests: v.object({ gateway: v.boolean(), clusters: v.array(v.string()) }),
});
type Gateway = GatewaySnapshot<v.InferOutput<typeof MORE>>;

const PATIENCE_MS = 60_000;
const LOOK_MS = 500;
/** The daemon's own looks after the first that has to have seen nothing, that have seen nothing either: it may have begun before. */
const CALM_LOOKS = 2;

export async function drain(context: Context, subject: Subject, options: DrainOptions): Promise<void> {
  const gateway = await askGateway(question(options));
  const target = targetOf(subject, gateway, options);
  const { what, name } = target;
  const work = { action: `drain ${what} "${name}"`, options };
  const isNew = await change(context, work, (drains) => {
    if (options.force !== true) checkWays(target, gateway, drains);
    return changed(drains, target, true);
  });
  const seen = await startProgress(context)(`Draining ${what} ${name}`, () =>
    emptied(context, { target, gateway }, options),
  );
  if (!seen.isCalm) {
    // One that does not answer any more is another matter.
    await askGateway(question(options));
    if (seen.isRead) throw busy(target, seen, options);
    if (isNew) await change(context, work, (drains) => changed(drains, target, false));
    throw unread(target, options);
  }
  const back = what === 'cluster' ? `cluster ${name}` : 'gateway';
  context.terminal.say(
    `Nothing passes ${what} ${name} any more. Take it back into use: clusterctl undrain ${back}`,
  );
}

/** Needs no daemon: one that is started again finds itself in use. */
export async function undrain(context: Context, subject: Subject, options: DrainOptions): Promise<void> {
  const { what } = subject;
  const { name, isGuess } =
    what === 'cluster' ? named(subject, 'undrain') : await gatewayOf(subject, options);
  let others: readonly string[] = [];
  const isChanged = await change(context, { action: `undrain ${what} "${name}"`, options }, (drains) => {
    const listed: readonly string[] = what === 'cluster' ? drains.clusters : drains.gateways;
    others = listed.filter((each) => each !== name);
    return changed(drains, { what, name }, false);
  });
  if (isChanged) return context.terminal.say(`${what} ${name} is in use again`);
  const drained = others.join(', ');
  if (isGuess && others.length > 0) {
    throw new CliError(
      EXIT.usage,
      `Cannot undrain gateway "${name}": it is not drained, and by the name of this host alone it was taken for the one that is meant. Drained: ${drained}. Say which: clusterctl undrain gateway NAME`,
    );
  }
  context.terminal.say(`${what} ${name} was not drained${others.length > 0 ? `. Drained: ${drained}` : ''}`);
}

function question({ statusPort }: DrainOptions): Question<v.InferOutput<typeof MORE>> {
  return { action: 'drain', more: MORE, ...(statusPort !== undefined && { statusPort }) };
}

interface Named {
  readonly name: string;
  /** Neither the command line nor a daemon has said it. */
  readonly isGuess: boolean;
}

function named({ name }: Subject, action: string): Named {
  if (name !== undefined) return { name: parseClusterId(name), isGuess: false };
  throw new CliError(
    EXIT.usage,
    `Cannot ${action} a cluster: its name is missing. They are listed by: clusterctl show clusters`,
  );
}

async function gatewayOf({ name }: Subject, options: DrainOptions): Promise<Named> {
  const said = name ?? options.node ?? (await glanceAtGateway(question(options)))?.node;
  return { name: said ?? hostname(), isGuess: said === undefined };
}

function targetOf(subject: Subject, { fleet, node }: Gateway, options: DrainOptions): Target {
  if (subject.what === 'cluster') {
    const { name } = named(subject, 'drain');
    if (fleet.remotes.some(({ id }) => id === name)) return { what: 'cluster', name };
    throw new CliError(
      EXIT.usage,
      `Cannot drain "${name}": there is no such cluster. See: clusterctl show clusters`,
    );
  }
  const asked = subject.name ?? options.node ?? node;
  if (asked === node) return { what: 'gateway', name: asked };
  throw new CliError(
    EXIT.usage,
    `Cannot drain "${asked}": this host is "${node}", and only a gateway itself knows what passes it. Run this on ${asked}`,
  );
}

/** Clusters that this gateway has a tunnel for. */
function reached({ daemon }: Gateway): ReadonlySet<string> {
  return new Set([...daemon.host.healthy].map(clusterOf));
}

/** @throws {CliError} where clusters that are reached now would not be */
function checkWays({ what, name }: Target, gateway: Gateway, drains: Drains): void {
  const { fleet, daemon } = gateway;
  const refused = (reason: string): CliError =>
    new CliError(EXIT.refused, `Cannot drain ${what} "${name}": ${reason} all the same with --force`);
  if (what === 'cluster') {
    const isRelieved = fleet.remotes.some(({ id, index }) => id === name && daemon.relief.includes(index));
    if (!isRelieved && !reached(gateway).has(name)) return;
    throw refused('its addresses would be unreachable from here. Do it');
  }
  const siblings = fleet.own.nodes.filter((node) => node.role === 'gateway' && node.name !== name);
  const draining = siblings.filter((node) => drains.gateways.includes(node.name)).map((node) => node.name);
  // One that was drained a moment ago has not told yet.
  const relief = new Set(draining.length === siblings.length ? [] : daemon.relief);
  const planned = plan(fleet, daemon.host);
  const only = onlyWay(
    { kind: 'gateway', name, tunnels: planned.tunnels },
    { fleet, host: daemon.host, relief, plan: planned },
  );
  if (only.length === 0) return;
  const [first] = draining;
  const because =
    first === undefined
      ? ''
      : `, for ${draining.join(', ')} ${draining.length === 1 ? 'drains' : 'drain'}. Take that back first (clusterctl undrain gateway ${first})`;
  throw refused(
    `no other gateway that stays leads to ${only.join(', ')}${because}${first === undefined ? '. Do' : ', or do'} it`,
  );
}

function changed(drains: Drains, { what, name }: Target, isDrained: boolean): Drains {
  const put = <T extends string>(list: readonly T[], one: T): T[] =>
    isDrained ? [...new Set([...list, one])].toSorted() : list.filter((each) => each !== one);
  return what === 'gateway'
    ? { ...drains, gateways: put(drains.gateways, name) }
    : { ...drains, clusters: put(drains.clusters, parseClusterId(name)) };
}

/**
 * Whether the list is another one now.
 * @throws {CliError} where there is no such directory: no daemon would read one that is made here
 */
async function change(
  { signal }: Pick<Context, 'signal'>,
  { action, options }: { readonly action: string; readonly options: DrainOptions },
  next: (drains: Drains) => Drains,
): Promise<boolean> {
  const { site = DIRECTORIES.site } = options;
  try {
    return await changeDrains(site, next, signal);
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT') throw cause;
    throw new CliError(
      EXIT.usage,
      `Cannot ${action}: there is no directory "${site}". Say by --site which one the gateway uses`,
      { cause },
    );
  }
}

interface Seen {
  /** The daemon knows that it drains. */
  readonly isRead: boolean;
  /** Nothing was carried, as far as the daemon has looked. */
  readonly isEmpty: boolean;
  /** Nothing was carried, look after look. */
  readonly isCalm: boolean;
  /** What was carried when last anything was. */
  readonly carried: readonly string[];
}

/** What is seen until nothing passes, or patience ends. */
async function emptied(
  { signal }: Context,
  { target: { what, name }, gateway }: { readonly target: Target; readonly gateway: Gateway },
  options: DrainOptions,
): Promise<Seen> {
  const clusters = what === 'gateway' ? reached(gateway) : new Set([name]);
  let seen: Seen = { isRead: false, isEmpty: false, isCalm: false, carried: [...clusters] };
  /** The daemon's look that was the first to see nothing. */
  let first = Infinity;
  const { patienceMs = PATIENCE_MS } = options;
  for (const end = performance.now() + patienceMs; performance.now() < end;) {
    await delay(LOOK_MS, undefined, { signal });
    // A daemon that is restarted, or late, drains all the same.
    const now = await glanceAtGateway(question(options));
    if (now === undefined) continue;
    const { rests, carries, looks } = now.more;
    const isRead = what === 'gateway' ? rests.gateway : rests.clusters.includes(name);
    const carried = carries.filter((cluster) => clusters.has(cluster));
    const isEmpty = carried.length === 0;
    // One that was restarted counts anew.
    first = isRead && isEmpty ? Math.min(first, looks) : Infinity;
    seen = {
      isRead,
      isEmpty,
      isCalm: looks >= first + CALM_LOOKS,
      carried: isEmpty ? seen.carried : carried,
    };
    if (seen.isCalm) return seen;
  }
  return seen;
}

function unread({ what, name }: Target, { site = DIRECTORIES.site }: DrainOptions): CliError {
  return new CliError(
    EXIT.failed,
    `Cannot drain ${what} "${name}": its daemon has not read it from "${site}". Say by --site which directory it uses`,
  );
}

function busy({ what, name }: Target, { isEmpty, carried }: Seen, options: DrainOptions): CliError {
  const { patienceMs = PATIENCE_MS } = options;
  const seconds = patienceMs / 1000;
  const then = 'It stays drained; the same command waits anew';
  if (isEmpty)
    return new CliError(
      EXIT.failed,
      `Cannot see ${what} "${name}" empty: its daemon has not looked often enough in ${seconds} s at what passes. ${then}`,
    );
  const whose =
    what === 'gateway'
      ? "They are of this host's own pods, which go on by its own tunnels (move them first), or of a cluster that has no other way"
      : `${name} itself goes on sending them, until this cluster is drained on its side too`;
  return new CliError(
    EXIT.failed,
    `Cannot see ${what} "${name}" empty: packets of ${carried.join(', ')} still pass after ${seconds} s. ${whose}. ${then}`,
  );
}
