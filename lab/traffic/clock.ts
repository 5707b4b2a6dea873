// The clock of all measurements: every process of a machine reads the same one.

import process from 'node:process';

/** Milliseconds of the kernel's monotonic clock. A wall clock may jump, and `performance.now` begins anew in each process. */
export function now(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
