// Columns as kubectl prints them: upper-case heads, three blanks between, nothing at the ends of lines.
// This module is pure.

/** What a cell may hold; lists are joined by commas, absent values are shown as "-". */
export type Cell = string | number | boolean | readonly string[] | undefined;

/** How a text is to look; a plain terminal shows it as it is. */
export type Paint = (style: Style, text: string) => string;

export type Style = 'head' | 'good' | 'bad' | 'faint';

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => Cell;
  readonly style?: (row: Row) => Style | undefined;
}

/** Paints nothing. */
export const plain: Paint = (_style, text) => text;

/** One line a row under a line of heads, each ended by a newline. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  paint: Paint = plain,
): string {
  const cells = rows.map((row) => columns.map(({ cell }) => show(cell(row))));
  const heads = columns.map(({ head }) => head.toUpperCase());
  const widths = heads.map((head, at) =>
    Math.max(head.length, ...cells.map((line) => line[at]?.length ?? 0)),
  );
  const styles = rows.map((row) => columns.map(({ style }) => style?.(row)));
  const lines = [
    layOut(heads, { widths, styles: heads.map(() => 'head'), paint }),
    ...cells.map((line, at) => layOut(line, { widths, styles: styles[at] ?? [], paint })),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

interface Layout {
  readonly widths: readonly number[];
  readonly styles: readonly (Style | undefined)[];
  readonly paint: Paint;
}

/** Colour goes on after padding: its escape codes have no width. */
function layOut(cells: readonly string[], { widths, styles, paint }: Layout): string {
  return cells
    .map((text, at) => {
      const style = styles[at];
      const shown = style === undefined ? text : paint(style, text);
      const isLast = at === cells.length - 1;
      return isLast ? shown : shown + ' '.repeat((widths[at] ?? 0) - text.length + 3);
    })
    .join('');
}

function show(cell: Cell): string {
  if (cell === undefined || cell === '') return '-';
  if (typeof cell === 'string') return cell;
  if (typeof cell === 'number' || typeof cell === 'boolean') return String(cell);
  return cell.length === 0 ? '-' : cell.join(',');
}
