// Rows of plain values to columns: what a row's fields are called is what the columns are headed.
// This module is pure.

import type { Cell, Column, Style } from './table.ts';

/** A row as `-o json` prints it. */
export type Row = Readonly<Record<string, unknown>>;

const STYLES: Readonly<Record<string, Style>> = {
  up: 'good',
  yes: 'good',
  connected: 'good',
  member: 'good',
  down: 'bad',
  no: 'bad',
  error: 'bad',
  refused: 'bad',
  revoked: 'bad',
};

/** One column a field, in the order of the first row that has it. */
export function columnsOf(rows: readonly Row[]): Column<Row>[] {
  const fields = new Set(rows.flatMap((row) => Object.keys(row)));
  return Array.from(fields, (field) => ({
    head: field.replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2'),
    cell: (row) => cellOf(row[field]),
    style: (row) => STYLES[String(cellOf(row[field]))],
  }));
}

/** The row with these fields only, in this order; all of it when none are named. */
export function pick(row: Row, fields: readonly string[] | undefined): Row {
  if (fields === undefined) return row;
  return Object.fromEntries(fields.flatMap((field) => (field in row ? [[field, row[field]]] : [])));
}

/** How long ago a time was, as kubectl writes it: `45s`, `12m`, `3h`, `8d`. */
export function ageText(since: string, now: Date): string {
  const seconds = Math.max(0, Math.floor((now.getTime() - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}

/** So many of so many, as losses are told. */
function isShare(value: unknown): value is { readonly lost: number; readonly of: number } {
  return typeof value === 'object' && value !== null && 'lost' in value && 'of' in value;
}

function cellOf(value: unknown): Cell {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number') return Number.isInteger(value) ? value : value.toFixed(2);
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (isShare(value)) return `${value.lost}/${value.of}`;
  if (Array.isArray(value)) return value.map((one) => String(cellOf(one) ?? '-'));
  return JSON.stringify(value);
}
