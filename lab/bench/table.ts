// The table that `npm run bench` prints.
// This module is pure.

import type { Row } from './benchmark.ts';

/** Three figures that mean something: 1234, 12.3, 0.123. */
export function formatNumber(value: number): string {
  if (value === 0 || Math.abs(value) >= 100) return value.toFixed(0);
  return value.toPrecision(3);
}

function cells(row: Row): readonly string[] {
  const reference =
    row.reference === undefined ? '–' : `${formatNumber(row.reference)} (${row.referenceIs ?? ''})`;
  const isRatio = row.reference !== undefined && row.figure !== row.value;
  return [
    row.what,
    `${formatNumber(row.value)} ${row.unit}`,
    reference,
    isRatio ? formatNumber(row.figure) : '–',
    `${row.target.sign} ${row.target.value}`,
    row.met ? 'met' : 'missed',
  ];
}

const HEAD = ['what', 'value', 'reference', 'ratio', 'target', ''];

/** Columns as wide as their widest cell, two spaces between. */
export function renderTable(rows: readonly Row[]): string {
  const lines = [HEAD, ...rows.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
