// A daemon as a process: its flags, its signals, its last words and its exit status.

import process from 'node:process';
import { messageOf } from '#lib/errors';
import { WireGuardError } from '#lib/wireguard';
import { UnfitHostError } from './check.ts';
import { UsageError, parseFlags } from './flags.ts';
import type { Flags, Program } from './flags.ts';

/** What a service manager is told. clusterctl's codes mean the same. */
const EXIT = { failed: 1, usage: 2, incapable: 5 } as const;

/** Milliseconds that a daemon has to end once it is asked to: a pass may be cut off at any point, so nobody waits for a slow one. */
const STOPPING_MS = 2000;
/** Milliseconds for what is still open once everything has ended, such as a client that cannot be told to stop dialling. */
const CLOSING_MS = 200;

/** Runs `start` until it ends. SIGTERM and SIGINT ask it to, and the process is gone soon after. */
export async function runProgram(
  program: Program,
  start: (flags: Flags, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const asked = (): void => {
    if (!stop.signal.aborted) endWithin(STOPPING_MS);
    stop.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, asked);
  try {
    const wanted = parseFlags(program, process.argv.slice(2));
    if ('print' in wanted) process.stdout.write(wanted.print);
    else await start(wanted.flags, stop.signal);
  } catch (error) {
    process.stderr.write(`${program.name}: ${messageOf(error)}\n`);
    process.exitCode = exitCode(error);
  }
  endWithin(CLOSING_MS);
}

/** Ends the process by force if it has not ended by itself. */
function endWithin(ms: number): void {
  setTimeout(() => process.exit(), ms).unref();
}

function exitCode(error: unknown): number {
  // Its own name is asked for, so that a broken site file counts as well without this package knowing of sites.
  if (error instanceof UsageError || (error instanceof Error && error.name === 'SiteError'))
    return EXIT.usage;
  return error instanceof UnfitHostError || error instanceof WireGuardError ? EXIT.incapable : EXIT.failed;
}
