// What several documents of `npm run bench -- failover --json` say together.
// This module is pure.

import * as v from 'valibot';
import { summarizeRow, type RowSummary } from './summary.ts';

/** JSON has no infinity: what never happened is null there. */
const Time = v.pipe(
  v.nullable(v.number()),
  v.transform((value) => value ?? Infinity),
);
const Run = v.object({
  silenceMs: Time,
  tcpSilenceMs: Time,
  lost: v.number(),
  duplicated: v.number(),
  reordered: v.number(),
  tcpLost: v.number(),
  hit: v.number(),
  pauseMs: v.number(),
  cpu: v.number(),
  figures: v.record(v.string(), Time),
});
const Control = v.omit(Run, ['hit', 'figures']);
const Variant = v.object({
  id: v.string(),
  what: v.string(),
  limits: v.record(v.string(), v.number()),
  each: v.array(Run),
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

/**
 * All runs of each variant, in the order of the first document that has it.
 * @throws {ValiError} on anything but such documents
 * @throws {RangeError} when there is none, or when they were taken on different machines
 */
export function pool(documents: readonly unknown[]): Pool {
  const [first, ...others] = documents.map((document) => v.parse(Document, document));
  if (first === undefined) throw new RangeError('Cannot make the page: there are no figures');
  const { machine } = first;
  if (others.some((other) => JSON.stringify(other.machine) !== JSON.stringify(machine)))
    throw new RangeError('Cannot take the figures together: they are of different machines');
  const all = [first, ...others];
  return {
    machine,
    rows: together(all.flatMap(({ rows }) => rows)),
    references: together(all.flatMap(({ references }) => references)),
  };
}

function together(rows: readonly Row[]): RowSummary[] {
  return [...Map.groupBy(rows, ({ id }) => id).values()].flatMap((same) => {
    const [row] = same;
    if (row === undefined) return [];
    const variants = Map.groupBy(
      same.flatMap((each) => each.variants),
      ({ id }) => id,
    );
    return [summarizeRow(row, [...variants.values()].flatMap(resultOf))];
  });
}

/** One that could not be measured once has the runs of the other times. */
function resultOf(same: readonly Variant[]): Parameters<typeof summarizeRow>[1] {
  const [variant] = same;
  if (variant === undefined) return [];
  const { id, what, limits, error = 'it was not' } = variant;
  const { control } = same.find((each) => each.control !== null) ?? variant;
  const runs = same.flatMap(({ each }) => each);
  return [{ id, what, limits, measured: control === null ? { error } : { control, runs } }];
}
