// clusterctl as a process.

import process from 'node:process';
import { runCommand } from '#lib/linux';
import { runCli } from './run.ts';
import { openTerminal } from './terminal.ts';

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());

process.exitCode = await runCli(
  {
    terminal: openTerminal(),
    run: (command) => runCommand({ signal: stop.signal, ...command }),
    signal: stop.signal,
    now: () => new Date(),
  },
  process.argv.slice(2),
);
