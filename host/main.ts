// A daemon as a process: its flags, its signals, its last words and its exit status.

import process from 'node:process';
import { WireGuardError } from '#lib/wireguard';
import { UnfitHostError } from './check.ts';
import { UsageError, parseFlags } from './flags.ts';
import type { Flags, Program } from './flags.ts';

/** What a service manager is told. clusterctl's codes mean the same. */
const EXIT = { failed: 1, usage: 2, incapable: 5 } as const;

/** Runs `start` until it ends. SIGTERM and SIGINT ask it to; a second one asks again. */
export async function runProgram(
  program: Program,
  start: (flags: Flags, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());
  try {
    const asked = parseFlags(program, process.argv.slice(2));
    if ('print' in asked) process.stdout.write(asked.print);
    else await start(asked.flags, stop.signal);
  } catch (error) {
    process.stderr.write(`${program.name}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = exitCode(error);
  }
}

function exitCode(error: unknown): number {
  // Its own name is asked for, so that a broken site file counts as well without this package knowing of sites.
  if (error instanceof UsageError || (error instanceof Error && error.name === 'SiteError'))
    return EXIT.usage;
  return error instanceof UnfitHostError || error instanceof WireGuardError ? EXIT.incapable : EXIT.failed;
}
