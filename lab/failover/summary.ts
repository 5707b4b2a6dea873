// What all runs together say: the JSON and the table of `npm run bench -- failover`.
// This module is pure.

import { quantile } from '../bench/benchmark.ts';
import type { Control, Measured, Run } from './measure.ts';
import type { Limits, Target } from './row.ts';

export interface Spread {
  readonly median: number;
  /** By nearest rank: with fewer than twenty runs, the worst. */
  readonly p95: number;
  readonly worst: number;
}

/** A figure of the row's own, and of how many runs it is, where some were taken before anybody asked for it. */
export interface Figure extends Spread {
  readonly runs?: number;
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
  /** Every target was met in every run, and no attempt failed. */
  readonly met: boolean;
  /** There and back, retransmission included. */
  readonly tcpSilenceMs: Spread | null;
}

export interface VariantSummary extends Summary {
  readonly what: string;
  readonly limits: Limits;
  readonly least: Limits;
  /** Of targets that some runs are older than: how many runs are judged by each. */
  readonly judged?: Readonly<Record<string, number>>;
  /** Figures of the row's own, run by run. */
  readonly figures: Readonly<Record<string, Figure>>;
  /** Flows and connections that the fault hit, in the run where it hit the fewest of 36. */
  readonly leastHit: number;
  /** What all else here is made of, so that runs of several days can be taken together. */
  readonly each: readonly Run[];
  readonly control: Control | null;
  /** Why it could not be measured, or not as often as it should. */
  readonly error?: string;
}

/** A row with all of its variants: the worst of them counts. */
export interface RowSummary extends Summary {
  readonly what: string;
  readonly variants: readonly VariantSummary[];
}

export interface VariantResult extends Target {
  readonly id: string;
  readonly what: string;
  readonly measured: Measured;
}

export function summarizeVariant(result: VariantResult): VariantSummary {
  const { id, what, limits, least = {}, measured } = result;
  const { runs, control, error } = measured;
  const met = error === undefined && runs.length > 0 && runs.every((run) => isWithin(run, result));
  const judged = judgedPartly(result);
  return {
    ...summaryOf(id, runs, met),
    what,
    limits,
    least,
    ...(Object.keys(judged).length === 0 ? {} : { judged }),
    figures: figuresOf(runs),
    leastHit: runs.length === 0 ? 0 : Math.min(...runs.map(({ hit }) => hit)),
    each: runs,
    control,
    ...(error === undefined ? {} : { error }),
  };
}

function hasOf(runs: readonly Run[], name: string): readonly Run[] {
  return runs.filter(({ without = [] }) => !without.includes(name));
}

function judgedPartly({ limits, least, measured: { runs } }: VariantResult): Record<string, number> {
  const names = Object.keys({ ...limits, ...least });
  const counts = names.map((name) => [name, hasOf(runs, name).length] as const);
  return Object.fromEntries(counts.filter(([, count]) => count < runs.length));
}

function figuresOf(runs: readonly Run[]): Record<string, Figure> {
  const names = new Set(runs.flatMap(({ figures }) => Object.keys(figures)));
  const figures = [...names].map((name): [string, Figure] => {
    const having = hasOf(runs, name);
    const spread = spreadOf(having.map((run) => run.figures[name] ?? Infinity));
    return [name, having.length === runs.length ? spread : { ...spread, runs: having.length }];
  });
  return Object.fromEntries(figures);
}

/** A variant that could not be measured is a row that was not met. */
export function summarizeRow(
  row: { readonly id: string; readonly what: string },
  results: readonly VariantResult[],
): RowSummary {
  const variants = results.map(summarizeVariant);
  const runs = results.flatMap(({ measured }) => measured.runs);
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

/** A target for what nobody measured is not met, unless the run is older than the target. */
export function isWithin({ figures, without = [], ...run }: Run, { limits, least = {} }: Target): boolean {
  const all: Readonly<Record<string, number | undefined>> = { ...run, ...figures };
  const judged = (targets: Limits): [string, number][] =>
    Object.entries(targets).filter(([name]) => !without.includes(name));
  return (
    judged(limits).every(([name, most]) => (all[name] ?? Infinity) <= most) &&
    judged(least).every(([name, few]) => (all[name] ?? -Infinity) >= few)
  );
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
  const end = [targetText(variant), verdictText(variant)];
  if (runs === 0) return [id, '0', '–', '–', '–', '–', '–', '–', '–', ...end];
  return [
    id,
    String(runs),
    spreadText(silenceMs),
    spreadText(tcpSilenceMs),
    ...[lost, duplicated, reordered, tcpLost].map(String),
    figuresText(variant),
    ...end,
  ];
}

export function targetText({ limits, least }: VariantSummary): string {
  return [
    ...Object.entries(limits).map(([name, most]) => `${name} ≤ ${most}`),
    ...Object.entries(least).map(([name, few]) => `${name} ≥ ${few}`),
  ].join(', ');
}

export function figuresText({ figures }: VariantSummary): string {
  const all = Object.entries(figures).map(([name, spread]) => {
    const text = `${name} ${spreadText(spread)}`;
    return spread.runs === undefined ? text : `${text} (${spread.runs} runs)`;
  });
  return all.join(', ') || '–';
}

/** `met`, or why not; with what not all runs were judged by. */
export function verdictText({ met, runs, error, judged = {} }: VariantSummary): string {
  const partly = Object.entries(judged).map(([name, count]) => `${name}: of ${count} runs`);
  const of = partly.length === 0 ? '' : ` (${partly.join(', ')})`;
  if (error === undefined) return `${met ? 'met' : 'missed'}${of}`;
  return runs === 0 ? `not measured: ${firstLine(error)}` : `missed: then failed: ${firstLine(error)}${of}`;
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
