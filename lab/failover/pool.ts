// What several documents of `npm run bench -- failover --json` say together.
// This module is pure.

import * as v from 'valibot';
import type { Run } from './measure.ts';
import type { Target } from './row.ts';
import { summarizeRow, type RowSummary, type VariantResult } from './summary.ts';

/** JSON has no infinity: what never happened is null there. */
const Time = v.pipe(
  v.nullable(v.number()),
  v.transform((value) => value ?? Infinity),
);
const Measurement = v.object({
  silenceMs: Time,
  tcpSilenceMs: Time,
  lost: v.number(),
  duplicated: v.number(),
  reordered: v.number(),
  tcpLost: v.number(),
  hit: v.number(),
  dropped: v.optional(v.number()),
  pauseMs: v.number(),
  cpu: v.number(),
  figures: v.record(v.string(), Time),
});
const Control = v.omit(Measurement, ['hit', 'dropped', 'figures']);
const Variant = v.object({
  id: v.string(),
  what: v.string(),
  limits: v.record(v.string(), v.number()),
  least: v.optional(v.record(v.string(), v.number())),
  each: v.array(Measurement),
  control: v.nullable(Control),
  error: v.optional(v.string()),
});
type Variant = v.InferOutput<typeof Variant>;
const Row = v.object({ id: v.string(), what: v.string(), variants: v.array(Variant) });
type Row = v.InferOutput<typeof Row>;
const Document = v.object({
  machine: v.object({ cpus: v.number(), cpu: v.string(), kernel: v.string(), node: v.string() }),
  rows: v.array(Row),
  references: v.array(Row),
});

export interface Pool {
  readonly machine: v.InferOutput<typeof Document>['machine'];
  readonly rows: readonly RowSummary[];
  readonly references: readonly RowSummary[];
}

/** What a variant has to reach today; undefined where it is not measured any more. */
export type TargetOf = (id: string) => Target | undefined;

/**
 * All runs of each variant, in the order of the first document that has it, judged by today's targets. A run that was measured before
 * there was a figure is left out of what is said of that figure, and is judged by all others. A failed attempt stays one, whatever others reached.
 * @throws {ValiError} on anything but such documents
 * @throws {RangeError} when there is none, or when they were taken on different machines
 */
export function pool(documents: readonly unknown[], targetOf: TargetOf): Pool {
  const [first, ...others] = documents.map((document) => v.parse(Document, document));
  if (first === undefined) throw new RangeError('Cannot make the page: there are no figures');
  const { machine } = first;
  if (others.some((other) => JSON.stringify(other.machine) !== JSON.stringify(machine)))
    throw new RangeError('Cannot take the figures together: they are of different machines');
  const all = [first, ...others];
  const together = (rows: readonly Row[]): RowSummary[] => rowsOf(rows, targetOf);
  return {
    machine,
    rows: together(all.flatMap(({ rows }) => rows)),
    references: together(all.flatMap(({ references }) => references)),
  };
}

function rowsOf(rows: readonly Row[], targetOf: TargetOf): RowSummary[] {
  return [...Map.groupBy(rows, ({ id }) => id).values()].flatMap((same) => {
    const [row] = same;
    if (row === undefined) return [];
    const variants = Map.groupBy(
      same.flatMap((each) => each.variants),
      ({ id }) => id,
    );
    return [
      summarizeRow(
        row,
        [...variants].map(([id, each]) => resultOf(id, each, targetOf(id))),
      ),
    ];
  });
}

function resultOf(id: string, same: readonly Variant[], current: Target | undefined): VariantResult {
  const { limits, least = {} }: Target = current ?? same[0] ?? { limits: {} };
  const names = new Set([...Object.keys({ ...limits, ...least }), ...same.flatMap(figuresOf)]);
  const runs = same.flatMap((variant) => variant.each.map((run) => aged(run, variant, names)));
  const controls = same.flatMap(({ control }) => control ?? []);
  const errors = new Set(same.flatMap((each) => errorsOf(each)));
  const control = controls.toSorted((a, b) => b.lost - a.lost)[0] ?? null;
  const error = errors.size === 0 ? {} : { error: [...errors].join('; ') };
  const { what = id } = same[0] ?? {};
  return { id, what, limits, least, measured: { control, runs, ...error } };
}

function figuresOf({ each }: Variant): string[] {
  return each.flatMap(({ figures }) => Object.keys(figures));
}

function errorsOf({ error, each }: Variant): string[] {
  if (error !== undefined) return [error];
  return each.length === 0 ? ['it was not'] : [];
}

/** With what it is older than: what it has no figure for, and its own document did not ask for. */
function aged(
  { dropped, ...run }: v.InferOutput<typeof Measurement>,
  variant: Variant,
  names: ReadonlySet<string>,
): Run {
  const { limits, least } = variant;
  const counted = { hit: hitOf(run, variant), ...(dropped === undefined ? {} : { dropped }) };
  const has = { ...run, ...run.figures, ...limits, ...least };
  const without = [...names].filter((name) => !Object.hasOwn(has, name));
  return { ...run, ...counted, ...(without.length === 0 ? {} : { without }) };
}

/** Documents without lower bounds counted no connections: where the slowest was slow, one was hit. */
function hitOf(
  { hit, tcpSilenceMs }: Pick<Run, 'hit' | 'tcpSilenceMs'>,
  { least, control }: Variant,
): number {
  const isSlow = control !== null && tcpSilenceMs > 2 * control.tcpSilenceMs;
  return least === undefined && isSlow ? hit + 1 : hit;
}
