// What a row of the failover table is: a fault, the traffic through it, and what has to come of it.

import type { Fault } from '../faults/fault.ts';
import type { UnderlayPath } from '../faults/paths.ts';
import type { Lab } from '../lab.ts';
import type { Analysis } from '../traffic/analyse.ts';
import type { Trace } from '../traffic/trace.ts';
import type { TrafficOptions } from '../traffic/traffic.ts';
import type { BedKind } from './bed.ts';

/** When things happened, in ms of the clock of the trace. */
export interface Moments {
  /** Just before the fault was put in force. */
  readonly broken: number;
  /** Just before it was undone. */
  readonly mended: number;
  /** The end of what is measured. */
  readonly end: number;
}

/** Looks on during one run, and says in figures of its own what it saw: name → number. */
export interface Observer extends AsyncDisposable {
  /** Called just before the fault is undone. */
  mending?(): void;
  /** Whether all is as it was before the fault: where it can be seen, a run goes on until then. */
  isBack?(): boolean;
  figures(run: {
    moments: Moments;
    trace: Trace;
    analysis: Analysis;
  }): Promise<Readonly<Record<string, number>>>;
}

/** By the name of a figure: `silenceMs`, `lost`, `tcpLost`, `hit`, or one of the row's observer. */
export type Limits = Readonly<Record<string, number>>;

/** What has to come of a run. */
export interface Target {
  /** Not more than this. */
  readonly limits: Limits;
  /** At least this: a fault that nothing met says nothing of those who survive it. */
  readonly least?: Limits | undefined;
}

/** A fault that was chosen, and is not in force yet. */
export interface Armed {
  /** Where it is one of a path. */
  readonly path?: UnderlayPath;
  begin(): Promise<Fault>;
}

/** One fault of a row. */
export interface Variant extends Target {
  /** `gateway-dead/local` */
  readonly id: string;
  readonly what: string;
  /** @default direct */
  readonly bed?: BedKind;
  readonly traffic?: TrafficOptions;
  /** How long it stays broken. @default 8000 */
  readonly forMs?: number;
  /** How long after its repair is measured. @default 2000 */
  readonly afterMs?: number;
  /** It leaves in its bed, for minutes, what a later run would measure: what hosts and pods have learnt of sizes. */
  readonly spoilsBed?: boolean;
  /** Called while traffic flows: what it chooses, it chooses by that. What it answers puts the fault in force, for `forMs`. */
  arm(lab: Lab, forMs: number): Promise<Armed>;
  observe?(lab: Lab, armed: Armed): Promise<Observer>;
}

/** A row of the table: its variants count together. */
export interface FailoverRow {
  readonly id: string;
  readonly what: string;
  readonly variants: readonly Variant[];
  /** Something else to compare with: no target is its own. */
  readonly isReference?: boolean;
}

/** Two gateways, of either site. */
export const LOCAL = 'east/gw-0';
export const REMOTE = 'west/gw-0';

/** What a dead machine or path may cost. TCP tries again after 0.2, 0.4 s and so on: its silence may be twice as long. */
export const HALF_A_SECOND: Limits = { silenceMs: 500, tcpSilenceMs: 1000, tcpLost: 0 };

/** Of all flows and all connections that are busy, one is on whatever breaks. */
export const HITS: Limits = { hit: 1 };

export const FOR_MS = 8000;
export const AFTER_MS = 2000;

/** For a fault that needs no choosing. */
export function always(begin: (lab: Lab, forMs: number) => Promise<Fault>): Variant['arm'] {
  return async (lab, forMs) => ({ begin: () => begin(lab, forMs) });
}
