// What every command gets from the process that it runs in.

import type { Run } from '#lib/linux';
import type { Terminal } from './terminal.ts';

export interface Context {
  readonly terminal: Terminal;
  /** Runs programs of this host. */
  readonly run: Run;
  /** Aborted by the first interrupt. */
  readonly signal: AbortSignal;
  readonly now: () => Date;
}
