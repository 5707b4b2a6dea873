// What is said to and by the process that stands for a pod: one line each way, a number first that says which answer belongs to what.
// This module is pure.

/** Asks the process to reach somebody. */
export interface Check {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly timeoutMs: number;
}

/** What came of a check: either seenAs and rttMs, or error. */
export interface CheckResult {
  /** The address that the far end saw this process by. */
  readonly seenAs?: string;
  /** The shortest of a few round trips of one byte. */
  readonly rttMs?: number;
  /** `ECONNREFUSED`, `EHOSTUNREACH`, `timeout` … */
  readonly error?: string;
}

/** TCP and UDP port on which every pod says who it was reached by. */
export const WHO_PORT = 8080;

/** `7 tcp 10.2.1.2 2000` */
export function renderCheck(id: number, check: Check): string {
  return `${id} ${check.protocol} ${check.address} ${check.timeoutMs}`;
}

export function parseCheck(line: string): { readonly id: number; readonly check: Check } {
  const [id, protocol, address = '', timeoutMs] = line.split(' ');
  return {
    id: Number(id),
    check: { protocol: protocol === 'udp' ? 'udp' : 'tcp', address, timeoutMs: Number(timeoutMs) },
  };
}

/** `7 10.1.1.2 0.431`, or `7 - EHOSTUNREACH` */
export function renderResult(id: number, result: CheckResult): string {
  return `${id} ${result.seenAs ?? '-'} ${result.error ?? result.rttMs}`;
}

export function parseResult(line: string): { readonly id: number; readonly result: CheckResult } {
  const [id, seenAs = '-', rest = ''] = line.split(' ');
  return { id: Number(id), result: seenAs === '-' ? { error: rest } : { seenAs, rttMs: Number(rest) } };
}
