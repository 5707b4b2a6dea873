// What a drill has shown, as a value and as text.
// This module is pure.

import { figuresOf, usualMs } from './drill-flows.ts';
import type { Flow, FlowFigures, Times } from './drill-flows.ts';
import type { Drill } from './drill-target.ts';
import { columnsOf } from './rows.ts';
import { renderTable } from './table.ts';
import type { Paint } from './table.ts';

/** A change of a path of this host while the drill went on. */
export interface DrillEvent {
  /** As ISO 8601 writes it. */
  readonly at: string;
  readonly path: string;
  readonly to: string;
  readonly why: string;
}

/** A path of this host as its daemon told of it afterwards. */
export interface PathSaid {
  readonly id: string;
  readonly state?: unknown;
  /** Its last ten, since that daemon was started. */
  readonly changes: readonly { readonly at: string; readonly to: string; readonly text: string }[];
}

/** What was done, and what was seen of it. */
export interface Observed {
  readonly kind: Drill;
  readonly target: string;
  /** This host's node. */
  readonly node: string;
  readonly cluster: string;
  readonly times: Times;
  readonly interrupted: boolean;
  readonly flows: readonly (Flow & { readonly to: string })[];
  /** Absent: the daemon was away. */
  readonly paths?: readonly PathSaid[];
  /** Tunnels that carried packets, and that the failure takes. */
  readonly taken: readonly string[];
  /** Of the broker: whether the daemon still had its connection just before the failure ended; absent: it was away. */
  readonly connected?: boolean;
}

/**
 * `recovered`: flows were silent and went on. `unnoticed`: nothing was lost. `back`: a gateway's own packets, once it was
 * back. `failed`: not as it should be. `unknown`: the daemon was away, so that nobody can say whether anything failed.
 * `interrupted`: nobody can say.
 */
export type Verdict = 'recovered' | 'unnoticed' | 'back' | 'failed' | 'unknown' | 'interrupted';

export interface DrillReport {
  readonly drill: Drill;
  readonly target: string;
  readonly node: string;
  readonly cluster: string;
  readonly failedAt: string;
  readonly restoredAt: string;
  readonly seconds: number;
  readonly verdict: Verdict;
  readonly summary: string;
  /** Longest silence of any flow while the failure lasted; absent where nothing was lost, or a gateway cut itself off. */
  readonly recoveryMs?: number;
  /** Echo requests while the failure lasted, and how many of them were lost. */
  readonly sent: number;
  readonly lost: number;
  readonly flows: readonly (FlowFigures & { readonly to: string })[];
  readonly events: readonly DrillEvent[];
}

export function reportOf(observed: Observed): DrillReport {
  const { kind, target, node, cluster, times } = observed;
  const flows = observed.flows.map(({ to, ...flow }) => ({ to, ...figuresOf(flow, times) }));
  const lost = flows.reduce((sum, flow) => sum + flow.lost.during, 0);
  const silent = Math.max(0, ...flows.map(({ silenceMs }) => silenceMs.during));
  const sent = flows.reduce((sum, flow) => sum + flow.sent.during, 0);
  const [verdict, summary] = verdictOf(observed, { flows, lost, silent, sent });
  return {
    drill: kind,
    target,
    node,
    cluster,
    failedAt: iso(times.failed),
    restoredAt: iso(times.restored),
    seconds: Math.round((times.restored - times.failed) / 100) / 10,
    verdict,
    summary,
    ...(lost > 0 && kind !== 'gateway' && { recoveryMs: silent }),
    sent,
    lost,
    flows,
    events: eventsOf(observed),
  };
}

/** In the order in which they happened. */
function eventsOf({ paths = [], times }: Observed): readonly DrillEvent[] {
  return paths
    .flatMap(({ id, changes }) =>
      sinceFailure(changes, times).map(({ at, to, text }) => ({ at, path: id, to, why: text })),
    )
    .toSorted((a, b) => (a.at < b.at ? -1 : 1));
}

function sinceFailure(changes: PathSaid['changes'], { failed }: Times): PathSaid['changes'] {
  return changes.filter(({ at }) => Date.parse(at) >= failed);
}

interface Figures {
  readonly flows: readonly FlowFigures[];
  readonly sent: number;
  readonly lost: number;
  readonly silent: number;
}

type Judged = readonly [verdict: Verdict, summary: string];

function verdictOf(observed: Observed, figures: Figures): Judged {
  const { kind, interrupted } = observed;
  if (interrupted)
    return ['interrupted', 'the failure has ended; the figures are of what was seen until then'];
  const judged = VERDICTS[kind](figures, observed);
  const doubt = kind === 'broker' ? connectionDoubt(observed) : pathsDoubt(observed);
  // Flows that stay silent are a finding, whoever can say what else happened.
  return doubt === undefined || (doubt[0] === 'unknown' && judged[0] === 'failed') ? judged : doubt;
}

/** Where what should have gone down did not, or nobody knows: then the other figures mean nothing. */
function pathsDoubt({ paths, taken, times }: Observed): Judged | undefined {
  if (paths === undefined)
    return ['unknown', `the daemon was away, so nobody can say whether ${taken.join(', ')} went down`];
  const byId = new Map(paths.map((path) => [path.id, path]));
  const whose = (fate: Fate): string => taken.filter((id) => fateOf(byId.get(id), times) === fate).join(', ');
  const stood = whose('stood');
  if (stood !== '')
    return ['failed', `${stood} never went down: packets still came, or the daemon was late to miss them`];
  const lost = whose('forgotten');
  if (lost === '') return undefined;
  return ['unknown', `the daemon was started again, so nobody can say whether ${lost} went down`];
}

type Fate = 'fell' | 'stood' | 'forgotten';

/** Of a path that was up before. What a daemon knows that was started meanwhile begins after the failure did. */
function fateOf(path: PathSaid | undefined, times: Times): Fate {
  if (path === undefined) return 'forgotten';
  const { state, changes } = path;
  const since = sinceFailure(changes, times);
  if (since.some(({ at, to }) => to === 'down' && Date.parse(at) <= times.restored)) return 'fell';
  if (state === 'down' || state === 'held' || state === 'unknown') return 'fell';
  return since.length === changes.length ? 'forgotten' : 'stood';
}

function connectionDoubt({ connected, paths, times }: Observed): Judged | undefined {
  if (connected === true)
    return [
      'failed',
      'the connection to the broker was never lost: this host reaches it by an address that is not in membership.json',
    ];
  const isForgotten = paths?.every(({ changes }) => sinceFailure(changes, times).length === changes.length);
  if (connected === false && (isForgotten === false || paths?.length === 0)) return undefined;
  return ['unknown', 'the daemon was away, or started again, so nobody can say whether anything moved'];
}

/** What changes otherwise has nothing to do with the broker: packet sizes, and the end of an earlier failure. */
function brokerVerdict({ flows, lost, sent }: Figures, observed: Observed): Judged {
  const down = new Set(eventsOf(observed).flatMap(({ to, path }) => (to === 'down' ? [path] : [])));
  if (down.size > 0) return ['failed', `${[...down].join(', ')} went down while only the broker was away`];
  const silent = flows.filter(
    ({ silenceMs, fellSilent }) => fellSilent || silenceMs.during > usualMs(silenceMs),
  ).length;
  if (silent > 0)
    return ['failed', `${silent} of ${flows.length} flows were silent while only the broker was away`];
  return [
    'unnoticed',
    `the broker was away, and no path of this host went down; ${lost} of ${sent} echoes lost`,
  ];
}

/** This host's own packets go as a dead machine's would: nowhere. That they do is what shows that the failure was one. */
function gatewayVerdict({ flows }: Figures): Judged {
  const gone = flows.filter(({ backMs, fellSilent }) => backMs === undefined || fellSilent).length;
  if (gone > 0) return ['failed', `${gone} of ${flows.length} flows of this host did not come back for good`];
  const backMs = Math.max(0, ...flows.map((flow) => flow.backMs ?? 0));
  return [
    'back',
    `this gateway was dead to all others, and its own packets were back ${backMs} ms after. What its workers noticed was not measured here`,
  ];
}

function flowsVerdict({ flows, lost, sent, silent }: Figures): Judged {
  const stalled = flows.filter(({ recovered }) => !recovered).length;
  if (stalled > 0)
    return ['failed', `${stalled} of ${flows.length} flows stayed silent until the failure ended`];
  const gone = flows.filter(({ fellSilent }) => fellSilent).length;
  if (gone > 0)
    return ['failed', `${gone} of ${flows.length} flows fell silent when the failure ended, and stayed so`];
  if (lost === 0)
    return [
      'unnoticed',
      `none of ${flows.length} flows lost a packet: packets to these addresses took another way`,
    ];
  return ['recovered', `recovered in ${silent} ms; ${lost} of ${sent} echoes lost`];
}

const VERDICTS: Readonly<Record<Drill, (figures: Figures, observed: Observed) => Judged>> = {
  gateway: gatewayVerdict,
  path: flowsVerdict,
  cluster: flowsVerdict,
  broker: brokerVerdict,
};

/** For a person: what it was, a line a flow, what the paths did, and the verdict last. */
export function renderReport(report: DrillReport, paint?: Paint): string {
  const { drill, target, node, cluster, failedAt, seconds, verdict, summary } = report;
  const flows = report.flows.map((flow) => ({
    to: flow.to,
    lostBefore: { lost: flow.lost.before, of: flow.sent.before },
    lostDuring: { lost: flow.lost.during, of: flow.sent.during },
    lostAfter: { lost: flow.lost.after, of: flow.sent.after },
    silentBefore: `${flow.silenceMs.before} ms`,
    silentDuring: `${flow.silenceMs.during} ms`,
    silentAfter: `${flow.silenceMs.after} ms`,
  }));
  const since = Date.parse(failedAt);
  const events = report.events.map(({ at, path, to, why }) => ({
    after: `${Date.parse(at) - since} ms`,
    path,
    to,
    why,
  }));
  const tables = [flows, events]
    .filter((rows) => rows.length > 0)
    .map((rows) => renderTable(columnsOf(rows), rows, paint));
  const what = drill === 'broker' ? 'broker' : `${drill} ${target}`;
  return [
    `${what} failed for ${seconds} s from ${failedAt}, seen from ${cluster}/${node}\n`,
    ...tables,
    `${verdict}: ${summary}\n`,
  ].join('\n');
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
