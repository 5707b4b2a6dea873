// The last words of an invocation that failed: one message, one exit code.

import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { CliError, EXIT } from './exit.ts';
import type { ExitCode } from './exit.ts';

export interface Explanation {
  /** Empty where commander has printed all there is to say, as for --help. */
  readonly text: string;
  readonly exitCode: ExitCode;
}

export async function explain(
  error: unknown,
  program: Command,
  words: readonly string[],
): Promise<Explanation> {
  if (error instanceof CommanderError) return explainUsage(error, calledCommand(program, words));
  const text = textOf(error, program, words);
  if (error instanceof CliError) return { text, exitCode: error.exitCode };
  // Knows the errors of every package, and with them loads every package.
  const { exitCodeOf } = await import('./classify.ts');
  return { text, exitCode: exitCodeOf(error) };
}

function textOf(error: unknown, program: Command, words: readonly string[]): string {
  if (!(error instanceof Error)) return String(error);
  if (program.opts()['debug'] === true) return error.stack ?? error.message;
  return isSystemError(error) ? systemText(error, calledCommand(program, words)) : error.message;
}

/** One that nobody has put into a sentence yet: `EACCES: permission denied, open '/x'`. */
function isSystemError(error: Error): error is Error & { code: string } {
  return 'code' in error && typeof error.code === 'string' && error.message.startsWith(`${error.code}: `);
}

function systemText({ code, message }: { code: string; message: string }, command: string): string {
  const next = code === 'EACCES' || code === 'EPERM' ? '. Run it again with sudo' : '';
  return `Cannot run "${command}": ${message.slice(code.length + 2).replaceAll("'", '"')}${next}`;
}

/** Commander's complaint as a sentence of ours, and where to read more. */
function explainUsage(error: CommanderError, command: string): Explanation {
  if (error.exitCode === 0) return { text: '', exitCode: EXIT.ok };
  if (error.code === 'commander.help') return { text: '', exitCode: EXIT.usage };
  const reason = error.message
    .replace(/^error: /, '')
    .replaceAll("'", '"')
    .replace(/^option "(?:-\w, )?(--[\w-]+).*?" argument (".*?") is invalid\./, '$1 $2:')
    .replace(/^command-argument value (".*?") is invalid for argument "(.*?)"\./, '$2 $1:')
    .replace(': Allowed choices are', ': it is none of')
    .replace(/\s*\n\(Did you mean (.*)\?\)$/, '; did you mean "$1"?')
    .replace(/\.$/, '');
  return {
    text: `Cannot run "${command}": ${reason}${reason.endsWith('?') ? '' : '.'} See: ${command} --help`,
    exitCode: EXIT.usage,
  };
}

/** The deepest command that the words name. */
function calledCommand(program: Command, words: readonly string[]): string {
  let command = program;
  const names = [program.name()];
  for (const word of words) {
    if (word.startsWith('-')) continue;
    const next = command.commands.find((one) => one.name() === word);
    if (next === undefined) break;
    command = next;
    names.push(word);
  }
  return names.join(' ');
}
