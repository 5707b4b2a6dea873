// One value, printed as a table or as data.

import { stringify } from 'yaml';
import type { Context } from './context.ts';
import type { Format } from './output-option.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

/** Prints rows. What `-o json` holds is what the table is made of. */
export function printRows<Row>(
  { terminal }: Context,
  format: Format,
  rows: readonly Row[],
  table: { readonly columns: readonly Column<Row>[]; readonly empty: string },
): void {
  if (format !== 'table') return terminal.out(renderData(format, rows));
  if (rows.length === 0) return terminal.say(table.empty);
  terminal.out(renderTable(table.columns, rows, (style, text) => terminal.paint(style, text)));
}

/** JSON or YAML text, ended by a newline. Values that are shared are written out each time: readers need no anchors. */
export function renderData(format: 'json' | 'yaml', value: unknown): string {
  return format === 'json'
    ? `${JSON.stringify(value, undefined, 2)}\n`
    : stringify(value, { aliasDuplicateObjects: false });
}
