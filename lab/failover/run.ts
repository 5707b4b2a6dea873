// `npm run bench -- failover`: every fault of the table, measured on beds that rows share as long as they are whole.

import { Beds } from './beds.ts';
import { measure } from './measure.ts';
import type { FailoverRow, Variant } from './row.ts';
import { ROWS } from './rows.ts';
import { summarizeRow, type RowSummary, type VariantResult } from './summary.ts';

export interface FailoverOptions {
  /** Id of a row or of one of its variants: `path-dead`, `path-dead/loss`. @default all */
  readonly only?: string | undefined;
  /** Of each variant. @default 3 */
  readonly runs?: number;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

export interface FailoverResult {
  readonly rows: readonly RowSummary[];
  /** What was measured to compare with, by the same means. */
  readonly references: readonly RowSummary[];
}

export async function measureFailover(options: FailoverOptions): Promise<FailoverResult> {
  const rows = chooseRows(options.only);
  const results = await measureVariants(
    rows.flatMap(({ variants }) => variants),
    options,
  );
  const summaries = rows.map((row) => {
    const own = row.variants.flatMap(({ id }) => results.get(id) ?? []);
    return { row, summary: summarizeRow(row, own) };
  });
  const isReference = ({ row }: { readonly row: FailoverRow }): boolean => row.isReference === true;
  return {
    rows: summaries.filter((each) => !isReference(each)).map(({ summary }) => summary),
    references: summaries.filter(isReference).map(({ summary }) => summary),
  };
}

/** Those that need the same bed one after the other. */
async function measureVariants(
  variants: readonly Variant[],
  options: FailoverOptions,
): Promise<ReadonlyMap<string, VariantResult>> {
  await using beds = new Beds();
  const results = new Map<string, VariantResult>();
  for (const group of Map.groupBy(variants, ({ bed }) => bed ?? 'direct').values())
    for (const variant of group) results.set(variant.id, await attempt(beds, variant, options));
  return results;
}

/** @throws {RangeError} on an id that neither a row nor a variant has */
export function chooseRows(only: string | undefined): readonly FailoverRow[] {
  if (only === undefined) return ROWS;
  const chosen = ROWS.flatMap((row) => {
    if (row.id === only) return [row];
    const variants = row.variants.filter(({ id }) => id === only);
    return variants.length === 0 ? [] : [{ ...row, variants }];
  });
  if (chosen.length > 0) return chosen;
  throw new RangeError(`Cannot measure "${only}": faults are ${ROWS.map(({ id }) => id).join(', ')}`);
}

/** One that fails does not keep the others from being measured, and leaves them no bed of which nobody knows how it is. */
async function attempt(beds: Beds, variant: Variant, options: FailoverOptions): Promise<VariantResult> {
  const { runs = 3, signal, say } = options;
  const { id, what, limits, least = {} } = variant;
  signal.throwIfAborted();
  const measured = await measure(beds, variant, { runs, signal, say });
  if (measured.error !== undefined) {
    say(`${id}: not measured${measured.runs.length === 0 ? '' : ' any more'}: ${measured.error}`);
    await beds.clear();
  }
  return { id, what, limits, least, measured };
}
