// clusterctl as a process.

import process from 'node:process';
import { runCommand } from '#lib/linux';
import { EXIT } from './exit.ts';
import { runCli } from './run.ts';
import { openTerminal } from './terminal.ts';

const stop = new AbortController();
/** Who asks twice does not want to wait for an orderly end. */
function interrupt(): void {
  if (stop.signal.aborted) process.exit(EXIT.interrupted);
  stop.abort();
}
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, interrupt);

process.exitCode = await runCli(
  {
    terminal: openTerminal(),
    run: (command) => runCommand({ signal: stop.signal, ...command }),
    signal: stop.signal,
    now: () => new Date(),
  },
  process.argv.slice(2),
);
