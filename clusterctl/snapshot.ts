// What this host knows of the clusterset right now: from its daemon, or from the site directory when none runs.

import { hostname } from 'node:os';
import * as v from 'valibot';
import { readFacts } from '#host';
import { fleetFromSite, readSite } from '#site';
import { parseHealth } from '#topology';
import type { Fleet, Health, HealthText, Host } from '#topology';
import type { Context } from './context.ts';
import { readDaemonState } from './daemon.ts';
import { DIRECTORIES } from './directories.ts';
import { CliError, EXIT } from './exit.ts';

export interface SnapshotOptions {
  /** Given: what this directory says is shown, whatever the daemon knows. */
  readonly site?: string;
  readonly statusPort?: number;
  /** Given: this node's part of the site directory is shown. */
  readonly node?: string;
}

/** Why a daemon's state cannot be used that has all that this version knows of, in another shape. */
export const OTHER_VERSION = 'its daemon is of another version. See: clusterctl version';

/** A fleet, and what only a running daemon can say of it. */
export interface Snapshot {
  readonly fleet: Fleet;
  /** Name of this host's node. */
  readonly node: string;
  readonly daemon?: DaemonState;
}

const row = v.record(v.string(), v.unknown());

/** What `show` reads of a daemon's state besides fleet and host; other fields are left alone. */
const DETAILS = {
  tunnels: v.optional(v.array(v.looseObject({ id: v.string() })), []),
  paths: v.optional(
    v.array(
      v.looseObject({
        id: v.string(),
        changes: v.array(v.object({ at: v.string(), to: v.string(), text: v.string() })),
      }),
    ),
    [],
  ),
  /** Indexes of clusters that other own gateways lead to which do not drain. */
  relief: v.optional(v.array(v.number()), []),
  broker: v.optional(
    v.looseObject({
      connected: v.optional(v.boolean()),
      complete: v.optional(v.boolean()),
      records: v.optional(v.array(row), []),
      standing: v.optional(v.array(v.looseObject({ subject: v.string(), reason: v.string() })), []),
    }),
  ),
  conditions: v.optional(v.array(v.object({ code: v.string(), about: v.string(), text: v.string() })), []),
};

type HostText = Omit<Host, keyof Health> & HealthText;

// Fleet and host come from the same release's daemon on this host: their outline is checked, not every field.
const STATE = v.looseObject({
  ...DETAILS,
  fleet: v.custom<Fleet>(isFleet),
  host: v.pipe(
    v.custom<HostText>(isHost),
    v.transform(({ healthy, room, gateways, ...facts }): Host => ({
      ...facts,
      ...parseHealth({ healthy, room, gateways }),
    })),
  ),
});

export type DaemonState = Pick<v.InferOutput<typeof STATE>, 'host' | keyof typeof DETAILS>;

export type DaemonSnapshot = Snapshot & Required<Pick<Snapshot, 'daemon'>>;

/** @throws {CliError} when there is neither a daemon nor a usable site directory */
export async function takeSnapshot(context: Context, options: SnapshotOptions): Promise<Snapshot> {
  const { statusPort, site = DIRECTORIES.site, node = hostname() } = options;
  const isSiteMeant = options.site !== undefined || options.node !== undefined;
  if (!isSiteMeant || statusPort !== undefined) {
    const snapshot = await askDaemon(statusPort);
    if (snapshot !== undefined) return snapshot;
    context.terminal.say(`No daemon answers on this host; this is what ${site} says`);
  }
  return await fromSite(context, site, node);
}

/**
 * What the daemon of this host knows; undefined where none runs.
 *
 * @throws {CliError} when it cannot be asked, or knows no clusterset
 */
export async function askDaemon(statusPort: number | undefined): Promise<DaemonSnapshot | undefined> {
  const state = await readDaemonState(statusPort);
  return state === undefined ? undefined : fromDaemon(state);
}

function fromDaemon(state: unknown): DaemonSnapshot {
  const result = v.safeParse(STATE, state);
  if (result.success)
    return { fleet: result.output.fleet, node: result.output.host.node, daemon: result.output };
  const reason = hasFleet(state)
    ? OTHER_VERSION
    : 'its daemon knows no clusterset: the cluster has not joined yet, or has left. See its log, or: clusterctl join --help';
  throw new CliError(EXIT.failed, `Cannot read the state of this host: ${reason}`);
}

async function fromSite({ terminal }: Context, site: string, node: string): Promise<Snapshot> {
  const directory = await readSite(site);
  for (const fault of directory.faults) terminal.say(fault.message);
  const fleet = fleetFromSite(directory);
  if (fleet === undefined) {
    const file = `${site}/clusterset.yaml`;
    const reason =
      directory.clusterset === undefined
        ? `no gateway has written ${file} yet. Join (clusterctl join), then start isthmus-gateway on a gateway`
        : `${file} says that it has left. Come back: clusterctl join --help`;
    throw new CliError(EXIT.failed, `Cannot show the clusterset of "${directory.site.id}": ${reason}`);
  }
  return { fleet, node };
}

/** What the daemon knows, else what this host says of itself: then no tunnel counts as answering. */
export async function hostOf({ run }: Context, { daemon, fleet, node: name }: Snapshot): Promise<Host> {
  if (daemon !== undefined) return daemon.host;
  const node = fleet.own.nodes.find((one) => one.name === name);
  if (node === undefined) {
    const names = fleet.own.nodes.map((one) => one.name).join(', ');
    throw new CliError(
      EXIT.usage,
      `Cannot plan for "${name}": site.yaml has no such node, it has ${names}. Say which one this host is with --node`,
    );
  }
  return { ...(await readFacts(run, node)), node: name, resilient: true, healthy: new Set() };
}

function hasFleet(state: unknown): boolean {
  return isObject(state) && state['fleet'] !== undefined && state['host'] !== undefined;
}

function isFleet(value: unknown): boolean {
  return (
    isObject(value) && isObject(value['own']) && isObject(value['fabric']) && Array.isArray(value['remotes'])
  );
}

function isHost(value: unknown): boolean {
  return isObject(value) && typeof value['node'] === 'string' && Array.isArray(value['healthy']);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
