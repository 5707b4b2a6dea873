// `clusterctl show`: projections of the fleet, by the functions that the daemons plan with.

import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { CONDITIONS, isConditionCode } from '#lib/conditions';
import { SiteError } from '#site';
import { clusterOf, clustersTable, gatewaysTable, mapTree, plan, routesTable, tunnelsTable } from '#topology';
import type { Context } from './context.ts';
import { CliError } from './exit.ts';
import type { Format } from './output-option.ts';
import { printRows, renderData } from './output.ts';
import { ageText, columnsOf, pick } from './rows.ts';
import type { Row } from './rows.ts';
import { hostOf, takeSnapshot } from './snapshot.ts';
import type { DaemonState, Snapshot, SnapshotOptions } from './snapshot.ts';
import { renderTree } from './tree.ts';
import type { View } from './views.ts';

export interface ShowOptions extends SnapshotOptions {
  readonly output: Format;
  /** Again every second, until interrupted. */
  readonly watch?: boolean;
}

const WATCH_MS = 1000;

type Rows = Exclude<View, 'map'>;

const EMPTY: Readonly<Record<Rows, string>> = {
  clusters: 'No cluster is known',
  gateways: 'No gateway is known',
  tunnels: 'This host has no tunnels',
  paths: 'No path is known; only a running daemon probes',
  routes: 'This host has no routes to other clusters',
  records: 'Nothing of the broker is known here; only a running gateway knows',
  conditions: 'Nothing is wrong that this host knows of',
};

/** Fields that a table has room for, where that is not all of them. */
const FIELDS: Readonly<Partial<Record<Rows, readonly string[]>>> = {
  tunnels: ['tunnel', 'state', 'rttMs', 'lost', 'age', 'device', 'endpoint'],
  paths: ['path', 'state', 'used', 'rttMs', 'jitterMs', 'loss', 'mtu', 'age', 'why'],
};

export async function show(context: Context, view: View, options: ShowOptions): Promise<void> {
  const { signal, terminal } = context;
  if (options.watch === true) terminal.clear();
  await showOnce(context, view, options);
  if (options.watch !== true) return;
  for (;;) {
    await delay(WATCH_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    terminal.clear();
    // It could be shown a moment ago: a daemon that is started again is worth waiting for, whatever the site says meanwhile.
    await showOnce(context, view, options).catch((error: unknown) => {
      if (!(error instanceof CliError || error instanceof SiteError)) throw error;
      terminal.say(error.message);
    });
  }
}

async function showOnce(context: Context, view: View, options: ShowOptions): Promise<void> {
  const snapshot = await takeSnapshot(context, options);
  if (view === 'map') return showMap(context, snapshot, options.output);
  const rows = await PROJECTIONS[view](snapshot, context);
  const shown = options.output === 'table' ? forTable(view, rows, context.now()) : rows;
  printRows(context, options.output, shown, { columns: columnsOf(shown), empty: EMPTY[view] });
  if (view === 'paths' && options.output === 'table') showChanges(context, snapshot);
}

/** Of all paths, the newest first. */
function showChanges(context: Context, { daemon }: Snapshot): void {
  const changes = (daemon?.paths ?? []).flatMap(({ id, changes: all }) =>
    all.map(({ at, to, text }) => ({ at, path: id, to, why: text })),
  );
  if (changes.length === 0) return;
  const rows = changes
    .toSorted((a, b) => (a.at < b.at ? 1 : -1))
    .map(({ at, ...row }) => ({ age: ageText(at, context.now()), ...row }));
  context.terminal.out('\n');
  printRows(context, 'table', rows, { columns: columnsOf(rows), empty: '' });
}

function forTable(view: Rows, rows: readonly Row[], now: Date): readonly Row[] {
  return rows.map((row) => {
    const { since, ...rest } = row;
    return typeof since === 'string'
      ? pick({ ...rest, age: ageText(since, now) }, FIELDS[view])
      : pick(row, FIELDS[view]);
  });
}

function showMap({ terminal }: Context, { fleet }: Snapshot, output: Format): void {
  const tree = mapTree(fleet);
  terminal.out(output === 'table' ? renderTree(tree) : renderData(output, tree));
}

type Projection = (snapshot: Snapshot, context: Context) => readonly Row[] | Promise<readonly Row[]>;

const PROJECTIONS: Readonly<Record<Rows, Projection>> = {
  clusters: ({ fleet, daemon }) =>
    clustersTable(fleet).map((row) => ({ ...row, ...reach(row.cluster, daemon) })),
  gateways: ({ fleet }) => gatewaysTable(fleet).map((row) => ({ ...row })),
  tunnels: async (snapshot, context) => {
    const { fleet, daemon } = snapshot;
    const details = new Map(daemon?.tunnels.map(({ id, ...rest }) => [id, rest]));
    const rows = tunnelsTable(plan(fleet, await hostOf(context, snapshot)));
    return rows.map((row) => ({ ...row, ...details.get(row.tunnel) }));
  },
  paths: ({ daemon }) => {
    const drained = drainedIn(daemon);
    return (daemon?.paths ?? []).map((path) => pathRow(path, drained));
  },
  routes: async (snapshot, context) =>
    routesTable(plan(snapshot.fleet, await hostOf(context, snapshot))).map((row) => ({ ...row })),
  records: ({ daemon }) => recordRows(daemon),
  conditions: ({ daemon }) =>
    (daemon?.conditions ?? []).map(({ code, about, text }) => ({
      code,
      severity: isConditionCode(code) ? CONDITIONS[code].severity : undefined,
      about,
      text,
    })),
};

/** What a gateway's daemon has read of drains.yaml. */
const RESTS = v.looseObject({ rests: v.looseObject({ clusters: v.array(v.string()) }) });

/** Clusters that are drained here, as far as the daemon says. */
function drainedIn(daemon: DaemonState | undefined): ReadonlySet<string> {
  const said = v.safeParse(RESTS, daemon);
  return new Set(said.success ? said.output.rests.clusters : []);
}

function pathRow({ id, ...path }: DaemonState['paths'][number], drained: ReadonlySet<string>): Row {
  const { changes, ...rest } = path;
  // The packet size is a change as well, and says nothing of the state.
  const into = changes.findLast(({ to }) => to === path['state']);
  const why = unusedText(path, drained.has(clusterOf(id))) ?? into?.text;
  return { path: id, ...rest, ...(why !== undefined && { why }), changes };
}

/** What makes a tunnel that answers the last resort, the worst first. */
const LAST_RESORT = {
  deaf: 'its gateway forwards nothing',
  impaired: 'its gateway does not reach all of its workers',
  narrow: 'too narrow for IPv6',
  draining: 'it drains',
} as const;

/** Why a path that is up carries nothing. */
function unusedText(path: Row, isDrained: boolean): string | undefined {
  if (path['state'] !== 'up' || path['used'] !== false) return undefined;
  if (isDrained) return 'not used: its cluster is drained here';
  const flag = (['deaf', 'impaired', 'narrow', 'draining'] as const).find((each) => path[each] === true);
  return flag === undefined ? 'not in use yet' : `not used: ${LAST_RESORT[flag]}`;
}

/** How many of this gateway's tunnels to a cluster answer. */
function reach(cluster: string, daemon: DaemonState | undefined): Row {
  const tunnels = daemon?.tunnels.filter(({ id }) => id.startsWith(`${cluster}/`)) ?? [];
  if (tunnels.length === 0) return {};
  const up = tunnels.filter((tunnel) => tunnel['up'] === true);
  return { tunnelsUp: `${up.length}/${tunnels.length}` };
}

function recordRows(daemon: DaemonState | undefined): readonly Row[] {
  const { records = [], standing = [] } = daemon?.broker ?? {};
  return [
    ...records.map(({ tombstone, ...row }) => ({ ...row, state: tombstone === true ? 'withdrawn' : 'held' })),
    ...standing.map(({ subject, reason }) => ({ slot: subject, state: 'refused', reason })),
  ];
}
