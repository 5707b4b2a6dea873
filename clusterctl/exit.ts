// Exit codes, and the error that carries one.
// This module is pure.

import { messageOf } from '#lib/errors';

/** What the shell is told; docs/reference/cli.md explains each. */
export const EXIT = {
  ok: 0,
  /** Something went wrong that no other code names. */
  failed: 1,
  /** The command line, or a file that it names, is wrong. */
  usage: 2,
  /** The clusterset or its policy says no. */
  refused: 3,
  /** The broker or a daemon cannot be reached. */
  unreachable: 4,
  /** This host lacks privileges, programs, kernel features or a free port. */
  incapable: 5,
  /** Ended by an interrupt, as shells count it. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A failure whose message is meant for the operator as it stands. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** For a file that the command line names: `Cannot read the join token "/x": no such file or directory`. */
export function unreadable(what: string, path: string, cause: unknown): CliError {
  const message = messageOf(cause);
  // Node says `ENOENT: no such file or directory, open '/x'`.
  const reason = message.replace(/^[A-Z]+: /, '').replace(/, [a-z]+(?: '.*')?$/, '');
  return new CliError(EXIT.usage, `Cannot read ${what} "${path}": ${reason}`, { cause });
}
