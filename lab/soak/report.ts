// What a soak has to say: a line a step while it runs, and a value at its end.
// This module is pure.

import { faultText, type SoakFault } from './faults.ts';
import type { Step } from './script.ts';
import { mebibytes, type Holdings } from './usage.ts';

export interface StepReport {
  readonly id: string;
  readonly action: Step['action'];
  readonly fault: SoakFault;
  readonly inForce: readonly SoakFault[];
  /** Seconds since the beginning. */
  readonly atS: number;
  /** Pairs, in both families, within sites as well. */
  readonly reached: number;
  readonly refused: number;
  /** Milliseconds from when it was looked for until it was so. */
  readonly waitedMs: number;
}

export interface ProcessReport {
  readonly what: string;
  readonly rssMiB: number;
  readonly rssMiBBefore: number;
  readonly files: number;
  readonly filesBefore: number;
}

export interface SoakReport {
  readonly seed: number;
  readonly from: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly steps: readonly StepReport[];
  readonly processes: readonly ProcessReport[];
  /** Empty if all held. */
  readonly problems: readonly string[];
  /** Where the logs of a lab are that something failed in. */
  readonly evidence?: string;
  /** Number of the round in which something did not hold. What other rounds left behind may have had its part in it. */
  readonly failed?: number;
  /** A command that does the same again. */
  readonly replay: string;
}

/** `12:07` */
export function clockText(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
}

/** `0:41  3.2   black-holed east/gw-0 ⇄ west/gw-1, beside suspended east/gw-1` */
export function stepText({ id, action, fault, inForce }: Step): string {
  const beside = inForce.filter((each) => each !== fault).map(faultText);
  const what = action === 'break' ? faultText(fault) : `mended: ${faultText(fault)}`;
  return [`${id.padEnd(6)}${what}`, ...beside.map((other) => `beside ${other}`)].join(', ');
}

export function reachText({ reached, refused, waitedMs }: StepReport): string {
  const other = refused === 0 ? '' : `, ${refused} refused`;
  return `${reached} pairs reached${other}${waitedMs > 1000 ? ` after ${(waitedMs / 1000).toFixed(1)} s` : ''}`;
}

export function processReports(before: Holdings, after: Holdings): ProcessReport[] {
  return [...after].map(([what, { rssKiB, files }]) => {
    const base = before.get(what);
    return {
      what,
      rssMiB: mebibytes(rssKiB),
      rssMiBBefore: mebibytes(base?.rssKiB ?? 0),
      files,
      filesBefore: base?.files ?? 0,
    };
  });
}

/** The processes that grew most, for a line at the end. */
export function growthText(processes: readonly ProcessReport[]): string {
  const [most] = processes.toSorted((a, b) => b.rssMiB - b.rssMiBBefore - (a.rssMiB - a.rssMiBBefore));
  if (most === undefined) return 'no process was looked at';
  return `${processes.length} processes within bounds, most grown ${most.what}: ${most.rssMiBBefore} → ${most.rssMiB} MiB`;
}
