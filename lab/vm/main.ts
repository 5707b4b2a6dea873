// Runs a command in a virtual machine with a stock kernel, on a copy-on-write view of this machine's root: `main.ts COMMAND…`.

import os from 'node:os';
import process from 'node:process';
import { runVm } from './vm.ts';

/** What a command may need to know of how it was started; all else is this machine's business. */
const HANDED_ON = /^(PATH|HOME|LANG|CI|NODE|ISTHMUS_\w+)$/;

/** Aborts at the first signal that asks for an end. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      process.exitCode = 128 + os.constants.signals[name];
      controller.abort();
    });
  return controller.signal;
}

function handedOn(): Record<string, string> {
  const pairs = Object.entries(process.env).flatMap(([name, value]) =>
    HANDED_ON.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  return { HOME: '/root', TERM: 'dumb', ...Object.fromEntries(pairs) };
}

const given = process.env['ISTHMUS_VM'];
const signal = interruption();
try {
  process.exitCode = await runVm({
    argv: process.argv.slice(2),
    cwd: process.cwd(),
    env: handedOn(),
    ...(given === 'kvm' || given === 'tcg' ? { accelerator: given } : {}),
    stdout: process.stdout,
    stderr: process.stderr,
    signal,
  });
} catch (error) {
  if (!signal.aborted) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 125;
  }
}
