// One invocation from its words to its exit code.

import type { Context } from './context.ts';
import { CliError, EXIT } from './exit.ts';
import type { ExitCode } from './exit.ts';
import { explain } from './explain.ts';
import { buildProgram } from './program.ts';

/** Never throws: a failure is one message and an exit code. */
export async function runCli(context: Context, words: readonly string[]): Promise<ExitCode> {
  const program = buildProgram(context);
  try {
    await program.parseAsync(words, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    if (context.signal.aborted && isAbort(error)) {
      context.terminal.say('Interrupted. What was done until then stays done');
      return EXIT.interrupted;
    }
    const { text, exitCode } = await explain(error, program, words);
    if (text !== '') context.terminal.say(text);
    return exitCode;
  }
}

/** Only what an abort has caused: whatever else went wrong after an interrupt is told, it may be the end that failed. */
function isAbort(error: unknown): boolean {
  if (error instanceof CliError || !(error instanceof Error)) return false;
  return error.name === 'AbortError' || isAbort(error.cause);
}
