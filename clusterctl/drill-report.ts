// What a drill has shown, as a value and as text.
// This module is pure.

import { figuresOf } from './drill-flows.ts';
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
  readonly events: readonly DrillEvent[];
  /** Tunnels that carried packets, and that the failure takes. */
  readonly taken: readonly string[];
  /** Of the broker: whether the daemon still had its connection just before the failure ended. */
  readonly connected?: boolean;
}

/**
 * `recovered`: flows were silent and went on. `unnoticed`: nothing was lost. `back`: a gateway's own packets, once it was
 * back. `failed`: not as it should be. `interrupted`: nobody can say.
 */
export type Verdict = 'recovered' | 'unnoticed' | 'back' | 'failed' | 'interrupted';

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
  readonly sent: number;
  readonly lost: number;
  readonly flows: readonly (FlowFigures & { readonly to: string })[];
  readonly events: readonly DrillEvent[];
}

export function reportOf(observed: Observed): DrillReport {
  const { kind, target, node, cluster, times, events } = observed;
  const flows = observed.flows.map(({ to, ...flow }) => ({ to, ...figuresOf(flow, times) }));
  const lost = flows.reduce((sum, flow) => sum + flow.lost.during, 0);
  const silent = Math.max(0, ...flows.map(({ silenceMs }) => silenceMs.during));
  const figures: Figures = { flows, lost, silent, sent: flows.reduce((sum, { sent }) => sum + sent, 0) };
  const [verdict, summary] = verdictOf(observed, figures);
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
    sent: figures.sent,
    lost,
    flows,
    events,
  };
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
    return ['interrupted', 'interrupted: restored at once; the figures are of what was seen until then'];
  const standing = ineffective(observed);
  if (standing !== undefined) return ['failed', standing];
  if (kind === 'broker') return brokerVerdict(observed, figures);
  return kind === 'gateway' ? gatewayVerdict(figures) : flowsVerdict(figures);
}

/** What should have gone down and did not: then the drill cut nothing, and its other figures mean nothing. */
function ineffective({ kind, connected, events, taken, times }: Observed): string | undefined {
  if (kind === 'broker')
    return connected === true
      ? 'the connection to the broker was never lost: this host reaches it by an address that is not in membership.json'
      : undefined;
  const down = new Set(
    events.filter(({ at, to }) => to === 'down' && Date.parse(at) <= times.restored).map(({ path }) => path),
  );
  const up = taken.filter((id) => !down.has(id));
  return up.length === 0
    ? undefined
    : `${up.join(', ')} never went down: packets still came, from an address that nobody knew of`;
}

function brokerVerdict({ events }: Observed, { lost }: Figures): Judged {
  const moved = [...new Set(events.map(({ path }) => path))];
  if (moved.length > 0) return ['failed', `${moved.join(', ')} changed while the broker was away`];
  if (lost > 0) return ['failed', `${lost} echoes were lost while the broker was away`];
  return ['unnoticed', 'the broker was away, and no path of this host changed'];
}

/** This host's own packets go as a dead machine's would: nowhere. That they do is what shows that the failure was one. */
function gatewayVerdict({ flows }: Figures): Judged {
  const late = flows.filter(({ backMs }) => backMs === undefined).length;
  if (late > 0) return ['failed', `${late} of ${flows.length} flows of this host did not come back`];
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
  if (lost === 0)
    return [
      'unnoticed',
      `none of ${flows.length} flows lost a packet: packets to these addresses took another way`,
    ];
  return ['recovered', `recovered in ${silent} ms; ${lost} of ${sent} echoes lost`];
}

/** For a person: what it was, a line a flow, what the paths did, and the verdict last. */
export function renderReport(report: DrillReport, paint?: Paint): string {
  const { drill, target, node, cluster, failedAt, seconds, verdict, summary } = report;
  const flows = report.flows.map((flow) => ({
    to: flow.to,
    sent: flow.sent,
    lostBefore: flow.lost.before,
    lostDuring: flow.lost.during,
    lostAfter: flow.lost.after,
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
