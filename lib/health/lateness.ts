// The time in which this process itself did not look, for which nobody else is blamed.
// This module is pure.

/** From when it should have looked to when it did. */
export interface Lateness {
  readonly from: number;
  readonly until: number;
}

export const ON_TIME: Lateness = { from: -Infinity, until: -Infinity };

/** Lateness that judges nobody wrongly, ms: less than the least wait for an answer. */
const TOLERANCE_MS = 50;
/**
 * Milliseconds after a lateness in which a far end that hears nothing of us is not believed: it is right, the reason
 * was ours, and it asks a path that is down ten times in that time.
 */
const EXCUSE_MS = 1000;

/** `planned` is when this look should have been at the latest. */
export function lateness(before: Lateness, planned: number, now: number): Lateness {
  return now - planned > TOLERANCE_MS ? { from: planned, until: now } : before;
}

/**
 * Until when the answer to an ask may come. Where that time ended while nobody looked, the answer may lie unread: the
 * ask gets its time again, once. A process that is always late still judges, by its later asks.
 */
export function deadline(late: Lateness, ask: { readonly at: number; readonly overdueAt: number }): number {
  const isExcused = ask.at <= late.until && ask.overdueAt >= late.from && ask.overdueAt <= late.until;
  return isExcused ? late.until + (ask.overdueAt - ask.at) : ask.overdueAt;
}

/** Whether the round trip of an ask of `at` says how long this process slept rather than how far the way is. */
export function wasAsleep(late: Lateness, at: number): boolean {
  return at <= late.until;
}

export function isExcusing(late: Lateness, now: number): boolean {
  return now - late.until < EXCUSE_MS;
}
