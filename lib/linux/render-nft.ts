// Us to kernel: transactions for `nft -f -`.
// This module is pure.

import type { NftChange } from './changes.ts';
import type { NftTable } from './state.ts';

const FAMILY = 'inet';

/** Replaces the table and all of its elements in one transaction: at no moment is there none. */
export function replaceTable({ name, body, sets }: NftTable): string {
  const lines = [
    `add table ${FAMILY} ${name}`,
    `delete table ${FAMILY} ${name}`,
    `table ${FAMILY} ${name} {`,
    body.trimEnd(),
    '}',
    ...elementLines('add', name, sets),
  ];
  return `${lines.join('\n')}\n`;
}

/** Removals first: an interval that takes another's place would overlap it. */
export function changeElements(change: Extract<NftChange, { kind: 'elements' }>): string {
  const lines = [
    ...elementLines('delete', change.name, change.remove),
    ...elementLines('add', change.name, change.add),
  ];
  return `${lines.join('\n')}\n`;
}

function elementLines(
  verb: 'add' | 'delete',
  table: string,
  sets: Readonly<Record<string, readonly string[]>>,
): string[] {
  return Object.entries(sets)
    .filter(([, elements]) => elements.length > 0)
    .map(([set, elements]) => `${verb} element ${FAMILY} ${table} ${set} { ${elements.join(', ')} }`);
}

export function deleteTable(name: string): string {
  return `delete table ${FAMILY} ${name}\n`;
}

/** Seals a table that has just been replaced, and so bears no seal. */
export function sealTable(name: string, seal: string): string {
  return `add chain ${FAMILY} ${name} ${seal}\n`;
}
