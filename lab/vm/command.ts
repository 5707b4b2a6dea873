// One command in a virtual machine, as if it ran here: its words, its exit status, and signals.

import os from 'node:os';
import process from 'node:process';
import { messageOf } from '#lib/errors';
import { runVm } from './vm.ts';

/** What a command may need to know of how it was started; all else is this machine's business. */
const HANDED_ON = /^(PATH|HOME|LANG|CI|NODE|ISTHMUS_\w+)$/;
/** As env(1) and timeout(1) say that they themselves have failed. */
const FAILED = 125;

/** Runs it, and sets this process's exit status. */
export async function runCommandInVm(argv: readonly string[]): Promise<void> {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => controller.abort(128 + os.constants.signals[name]));
  const { signal } = controller;
  try {
    const { stdout, stderr } = process;
    const command = { argv, cwd: process.cwd(), env: handedOn() };
    process.exitCode = await runVm({ ...command, stdout, stderr, signal });
  } catch (error) {
    process.exitCode = signal.aborted ? Number(signal.reason) : FAILED;
    if (!signal.aborted) process.stderr.write(`${messageOf(error)}\n`);
  }
}

function handedOn(): Record<string, string> {
  const pairs = Object.entries(process.env).flatMap(([name, value]) =>
    HANDED_ON.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  return { HOME: '/root', TERM: 'dumb', ...Object.fromEntries(pairs) };
}
