// What a benchmark is: something measured, beside a reference that is measured in turn with it.
// This module is pure.

/** One line of the table. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly value: number;
  /** What it is compared with, in the same unit. */
  readonly reference?: number;
  /** What the reference is; absent where there is none. */
  readonly referenceIs?: string;
  /** The figure that the target speaks of: value over reference, or the value itself. */
  readonly figure: number;
  readonly target: Target;
  readonly met: boolean;
}

/** `≥ 0.9` or `≤ 50`. */
export interface Target {
  readonly sign: '≥' | '≤';
  readonly value: number;
}

export interface BenchContext {
  readonly signal: AbortSignal;
  /** Progress for people, not part of the result. */
  readonly say: (text: string) => void;
}

export interface Benchmark {
  /** Chosen by it: `npm run bench -- plan`. */
  readonly id: string;
  readonly what: string;
  run(context: BenchContext): Promise<readonly Row[]>;
}

export function atLeast(value: number): Target {
  return { sign: '≥', value };
}

export function atMost(value: number): Target {
  return { sign: '≤', value };
}

function isMet(figure: number, { sign, value }: Target): boolean {
  return sign === '≥' ? figure >= value : figure <= value;
}

interface Measured {
  readonly what: string;
  readonly unit: string;
  readonly value: number;
  readonly target: Target;
}

/** A value whose ratio to a reference is what counts. */
export function ratioRow(row: Measured & { readonly reference: number; readonly referenceIs: string }): Row {
  const figure = row.value / row.reference;
  return { ...row, figure, met: isMet(figure, row.target) };
}

/** A value that counts by itself; a reference may stand beside it for the reader. */
export function valueRow(
  row: Measured & { readonly reference?: number; readonly referenceIs?: string },
): Row {
  return { ...row, figure: row.value, met: isMet(row.value, row.target) };
}

/** The q-quantile (0–1) by nearest rank. @throws {RangeError} on nothing */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))];
  if (value === undefined) throw new RangeError('Cannot take a quantile: there are no values');
  return value;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Runs both in turn, so that whatever else the machine does falls on both alike; the medians. */
export async function alternate(
  rounds: number,
  measure: () => Promise<number>,
  reference: () => Promise<number>,
): Promise<{ readonly value: number; readonly reference: number }> {
  const values: number[] = [];
  const references: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    references.push(await reference());
    values.push(await measure());
  }
  return { value: median(values), reference: median(references) };
}
