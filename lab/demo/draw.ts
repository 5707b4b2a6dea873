// Draws what the demo found, for people.
// This module is pure.

import type { LabEnd } from '../layout.ts';
import type { MatrixPair } from '../matrix.ts';

/**
 * One row a sender, one column a pod: round trip in milliseconds, the slower of both families. `-` is not reached, `!` stands behind
 * a time where the sender was seen by an address that is not its own.
 */
export function drawMatrix(pairs: readonly MatrixPair[]): string[] {
  const senders = [...new Set(pairs.map((pair) => pair.from))];
  const targets = senders.filter((end) => pairs.some((pair) => pair.to === end));
  const rows = senders.map((from) => [
    from.name,
    seenAs(pairs, from),
    ...targets.map((to) => cell(pairs.filter((pair) => pair.from === from && pair.to === to))),
  ]);
  const head = (['from', 'seen as', ...targets.map(columnTitle(targets))] as const).slice();
  return alignColumns([head, ...rows], 2);
}

/** The site's name above its first pod, then the pods' letters alone. */
function columnTitle(targets: readonly LabEnd[]): (to: LabEnd, at: number) => string {
  return (to, at) => {
    const letter = to.name.slice(to.name.lastIndexOf('-') + 1);
    return targets[at - 1]?.site === to.site ? letter : `${to.site} ${letter}`;
  };
}

function seenAs(pairs: readonly MatrixPair[], from: LabEnd): string {
  const seen = pairs.filter((pair) => pair.from === from).map((pair) => pair.seenAs ?? '');
  return [...new Set(seen.filter((address) => address !== ''))].join(' ') || '-';
}

function cell(pairs: readonly MatrixPair[]): string {
  if (pairs.length === 0) return '';
  if (pairs.some((pair) => !pair.reached)) return '-';
  const slowest = Math.max(...pairs.map((pair) => pair.rttMs ?? 0));
  return `${slowest.toFixed(1)}${pairs.every((pair) => pair.kept) ? '' : '!'}`;
}

/** Columns as wide as their widest cell, two spaces apart; the first so many to the left, figures to the right. */
export function alignColumns(rows: readonly (readonly string[])[], texts: number): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [at, text] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, text.length);
  return rows.map((row) =>
    row
      .map((text, at) => (at < texts ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
