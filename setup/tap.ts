// Counts tests in a TAP stream, keeping the text that a person wants to read of it.
// This module is pure.

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const NOTHING: Counts = { passed: 0, failed: 0, skipped: 0 };

export function addCounts(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

/** The last line of a test run: `12 passed, 0 failed`, with `, 1 skipped` only where something was. */
export function summarise({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

export interface TapOptions {
  /** Show passed tests too, one line each. */
  readonly showPassed: boolean;
}

/** What one line of TAP means for the counts and for the reader. */
export interface TapLine {
  readonly counts: Counts;
  /** Text to show; absent: nothing. */
  readonly text?: string;
  /** Whether the text belongs to a failed test: such text is worth repeating at the end of a run. */
  readonly isFailure: boolean;
}

/** Reads line by line; remembers only whether it is inside the details of a failed test. */
export class TapReader {
  readonly #options: TapOptions;
  #isFailure = false;

  constructor(options: TapOptions) {
    this.#options = options;
  }

  read(line: string): TapLine {
    const [, not, rest] = /^(not )?ok \d+ (?:- )?(.*)$/.exec(line) ?? [];
    if (rest === undefined) return this.#detail(line);
    this.#isFailure = not !== undefined;
    const isFailure = this.#isFailure;
    if (isFailure) return { counts: { ...NOTHING, failed: 1 }, text: `  ✖ ${rest}`, isFailure };
    if (/# SKIP\b/i.test(rest)) return { counts: { ...NOTHING, skipped: 1 }, text: `  - ${rest}`, isFailure };
    const counts = { ...NOTHING, passed: 1 };
    return this.#options.showPassed ? { counts, text: `  ✔ ${rest}`, isFailure } : { counts, isFailure };
  }

  #detail(line: string): TapLine {
    const isFrame =
      /^(TAP version|\d+\.\.\d+|# (tests|pass|skip|fail|todo) |# .* › (before|after)\S* hook\b|\s*(---|\.\.\.)?$)/.test(
        line,
      );
    const isShown = !isFrame && (this.#isFailure || /^\s*# /.test(line));
    const isFailure = this.#isFailure && isShown;
    return isShown ? { counts: NOTHING, text: `  ${line}`, isFailure } : { counts: NOTHING, isFailure };
  }
}
