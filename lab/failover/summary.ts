// What all runs together say: the JSON and the table of `npm run bench -- failover`.
// This module is pure.

import { quantile } from '../bench/benchmark.ts';
import type { Measured, Run } from './measure.ts';
import type { Limits } from './row.ts';

export interface Spread {
  readonly median: number;
  /** By nearest rank: with fewer than twenty runs, the worst. */
  readonly p95: number;
  readonly worst: number;
}

/** Counts are those of the worst run, less what the control lost. */
export interface Summary {
  readonly id: string;
  /** Of each variant. */
  readonly runs: number;
  /** The longest silence of any UDP flow, run by run; null where nothing was measured. */
  readonly silenceMs: Spread | null;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly tcpLost: number;
  /** Every limit was kept in every run. */
  readonly met: boolean;
  /** There and back, retransmission included. */
  readonly tcpSilenceMs: Spread | null;
}

export interface VariantSummary extends Summary {
  readonly what: string;
  readonly limits: Limits;
  /** Figures of the row's own, run by run. */
  readonly figures: Readonly<Record<string, Spread>>;
  /** Flows that the fault hit, in the run where it hit the fewest of 16. */
  readonly leastHit: number;
  /** What all else here is made of, so that runs of several days can be taken together. */
  readonly each: readonly Run[];
  readonly control: Measured['control'] | null;
  /** Why it could not be measured. */
  readonly error?: string;
}

/** A row with all of its variants: the worst of them counts. */
export interface RowSummary extends Summary {
  readonly what: string;
  readonly variants: readonly VariantSummary[];
}

export interface VariantResult {
  readonly id: string;
  readonly what: string;
  readonly limits: Limits;
  readonly measured: Measured | { readonly error: string };
}

export function summarizeVariant({ id, what, limits, measured }: VariantResult): VariantSummary {
  if ('error' in measured)
    return {
      ...summaryOf(id, [], false),
      what,
      limits,
      figures: {},
      leastHit: 0,
      each: [],
      control: null,
      error: measured.error,
    };
  const { runs, control } = measured;
  const met = runs.length > 0 && runs.every((run) => isWithin(run, limits));
  const names = Object.keys(runs[0]?.figures ?? {});
  const figures = Object.fromEntries(
    names.map((name) => [name, spreadOf(runs.map((run) => run.figures[name] ?? Infinity))] as const),
  );
  const leastHit = Math.min(...runs.map(({ hit }) => hit));
  return { ...summaryOf(id, runs, met), what, limits, figures, leastHit, each: runs, control };
}

/** A variant that could not be measured is a row that was not met. */
export function summarizeRow(
  row: { readonly id: string; readonly what: string },
  results: readonly VariantResult[],
): RowSummary {
  const variants = results.map(summarizeVariant);
  const runs = results.flatMap(({ measured }) => ('error' in measured ? [] : measured.runs));
  const met = variants.length > 0 && variants.every((variant) => variant.met);
  const all = summaryOf(row.id, runs, met);
  return { ...all, runs: Math.max(0, ...variants.map((variant) => variant.runs)), what: row.what, variants };
}

function summaryOf(id: string, runs: readonly Run[], met: boolean): Summary {
  const worst = (of: (run: Run) => number): number => Math.max(0, ...runs.map(of));
  return {
    id,
    runs: runs.length,
    silenceMs: runs.length === 0 ? null : spreadOf(runs.map(({ silenceMs }) => silenceMs)),
    lost: worst(({ lost }) => lost),
    duplicated: worst(({ duplicated }) => duplicated),
    reordered: worst(({ reordered }) => reordered),
    tcpLost: worst(({ tcpLost }) => tcpLost),
    met,
    tcpSilenceMs: runs.length === 0 ? null : spreadOf(runs.map(({ tcpSilenceMs }) => tcpSilenceMs)),
  };
}

function spreadOf(values: readonly number[]): Spread {
  return { median: quantile(values, 0.5), p95: quantile(values, 0.95), worst: quantile(values, 1) };
}

/** A limit that nobody measured is not kept. */
export function isWithin({ figures, ...run }: Run, limits: Limits): boolean {
  const all: Readonly<Record<string, number>> = { ...run, ...figures };
  return Object.entries(limits).every(([name, most]) => (all[name] ?? Infinity) <= most);
}

const HEAD = [
  'fault',
  'runs',
  'silence ms',
  'TCP ms',
  'lost',
  'dup',
  'reord',
  'TCP lost',
  'also',
  'target',
  '',
];

/** One line a variant; times are median / p95 / worst. */
export function renderRows(rows: readonly RowSummary[]): string {
  const lines = [HEAD, ...rows.flatMap(({ variants }) => variants.map(cellsOf))];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const padded = lines.map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  return padded.map((line) => line.trimEnd()).join('\n');
}

function cellsOf(variant: VariantSummary): readonly string[] {
  const { id, runs, silenceMs, tcpSilenceMs, lost, duplicated, reordered, tcpLost } = variant;
  const target = targetText(variant);
  if (variant.error !== undefined)
    return [id, '0', '–', '–', '–', '–', '–', '–', '–', target, `not measured: ${firstLine(variant.error)}`];
  return [
    id,
    String(runs),
    spreadText(silenceMs),
    spreadText(tcpSilenceMs),
    ...[lost, duplicated, reordered, tcpLost].map(String),
    figuresText(variant),
    target,
    variant.met ? 'met' : 'missed',
  ];
}

export function targetText({ limits }: VariantSummary): string {
  return Object.entries(limits)
    .map(([name, most]) => `${name} ≤ ${most}`)
    .join(', ');
}

export function figuresText({ figures }: VariantSummary): string {
  const all = Object.entries(figures).map(([name, spread]) => `${name} ${spreadText(spread)}`);
  return all.join(', ') || '–';
}

/** Microseconds are noise. */
export function spreadText(spread: Spread | null): string {
  if (spread === null) return '–';
  return [spread.median, spread.p95, spread.worst]
    .map((value) => (Number.isFinite(value) ? value.toFixed(0) : 'never'))
    .join(' / ');
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
