// Where the join token comes from: the command line, a file, standard input, or a question.

import { readFile } from 'node:fs/promises';
import { addAbortSignal } from 'node:stream';
import { text } from 'node:stream/consumers';
import process from 'node:process';
import type { Context } from './context.ts';
import { CliError, EXIT, unreadable } from './exit.ts';

export interface TokenSource {
  readonly token?: string;
  readonly tokenFile?: string;
}

/** @throws {CliError} when there is none */
export async function readToken({ terminal, signal }: Context, source: TokenSource): Promise<string> {
  if (source.token !== undefined && source.tokenFile !== undefined) {
    throw new CliError(EXIT.usage, 'Cannot read the join token: both --token and --token-file are given');
  }
  if (source.token !== undefined) return source.token;
  if (source.tokenFile === '-') return await text(addAbortSignal(signal, process.stdin));
  if (source.tokenFile !== undefined) return await readTokenFile(source.tokenFile);
  if (terminal.isInteractive) return await ask();
  throw new CliError(
    EXIT.usage,
    'Cannot read the join token: none is given. Make one on the broker\'s host with "clusterctl broker token", and give it with --token-file',
  );
}

async function readTokenFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw unreadable('the join token', path, cause);
  }
}

async function ask(): Promise<string> {
  const { isCancel, password } = await import('@clack/prompts');
  const answer = await password({
    message: 'Join token (from "clusterctl broker token")',
    output: process.stderr,
  });
  if (isCancel(answer)) throw new CliError(EXIT.interrupted, 'Cannot join: no token was given');
  return answer;
}
