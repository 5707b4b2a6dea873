// One condition: a code, the thing it is about, and its text with the places filled.
// This module is pure.

import { CONDITIONS } from './table.ts';
import type { ConditionArguments, ConditionCode, Severity } from './table.ts';

export interface Condition {
  readonly code: ConditionCode;
  /** The one thing that it is about: a cluster, a tunnel, a CIDR. Code and thing together are the condition's identity. */
  readonly about: string;
  readonly text: string;
}

const RANK: Readonly<Record<Severity, number>> = { error: 0, warning: 1, info: 2 };

/** Makes a condition of the table; the compiler asks for exactly the arguments that its text has places for. */
export function condition<C extends ConditionCode>(
  code: C,
  about: string,
  args: ConditionArguments<C>,
): Condition {
  const values: Readonly<Record<string, string>> = args;
  const text = CONDITIONS[code].text.replaceAll(
    /\{([a-z]+)\}/g,
    (place, name: string) => values[name] ?? place,
  );
  return { code, about, text };
}

export function isConditionCode(text: string): text is ConditionCode {
  return Object.hasOwn(CONDITIONS, text);
}

/** Order in which conditions are shown: errors first, then by code, then by thing. */
export function compareConditions(a: Condition, b: Condition): number {
  const severity = RANK[CONDITIONS[a.code].severity] - RANK[CONDITIONS[b.code].severity];
  return severity || compareText(a.code, b.code) || compareText(a.about, b.about);
}

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
