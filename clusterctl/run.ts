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
    const isSaid = error instanceof CliError && error.exitCode === EXIT.interrupted;
    if (context.signal.aborted && !isSaid) {
      context.terminal.say('Interrupted. Running the same command again goes on where this one ended');
      return EXIT.interrupted;
    }
    const { text, exitCode } = await explain(error, program, words);
    if (text !== '') context.terminal.say(text);
    return exitCode;
  }
}
