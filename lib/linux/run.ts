// Runs other programs: bounded in time and output, one locale, failures that say what was run.

import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { codeOf } from '#lib/errors';

/** One program to run. */
export interface Command {
  readonly argv: readonly [string, ...string[]];
  /** Text for stdin; secrets and batches go here, never into argv. */
  readonly input?: string;
  /** @default 30000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Runs a command and gives its stdout. Rejects with {@link CommandError} whatever went wrong. */
export type Run = (command: Command) => Promise<string>;

/** A program failed, was not found, took too long or said too much. Its stdout is not kept: it may hold keys. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly argv: readonly string[];
  /** Null where the program never ran or was ended by a signal. */
  readonly exitCode: number | null;
  readonly stderr: string;
  /** The program does not exist on this machine. */
  readonly isMissing: boolean;

  constructor(command: Command, reason: string, end: Ending) {
    super(`Cannot run "${shortArgv(command.argv)}": ${reason}`, { cause: end.cause });
    this.argv = command.argv;
    this.exitCode = end.exitCode;
    this.stderr = end.stderr;
    this.isMissing = codeOf(end.cause) === 'ENOENT';
  }
}

interface Ending {
  readonly exitCode: number | null;
  readonly stderr: string;
  readonly cause?: unknown;
}

/** Largest output that is read before the program is ended: the routes of some thousand clusters are 4 MB. */
const MAX_OUTPUT = 64 * 1024 * 1024;
const DEFAULT_TIMEOUT_MS = 30_000;

/** The real runner. `LC_ALL=C`, because stderr is what failures are told apart by. */
export const runCommand: Run = (command) =>
  new Promise((resolve, reject) => {
    const [program, ...args] = command.argv;
    const output = { stdout: [] as Buffer[], stderr: [] as Buffer[], size: 0 };
    const child = spawn(program, args, {
      env: { ...process.env, LC_ALL: 'C', PATH: systemPath() },
      stdio: 'pipe',
      // A process group of its own, so that it can be ended with what it has started.
      detached: true,
    });
    let stopped: string | undefined;
    let cause: unknown;
    const stop = (reason: string): void => {
      stopped ??= reason;
      killGroup(child);
    };
    const timeoutMs = command.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const timer = setTimeout(() => stop(`no end after ${timeoutMs} ms`), timeoutMs);
    const aborted = (): void => {
      cause ??= command.signal?.reason;
      stop('aborted');
    };
    if (command.signal?.aborted === true) aborted();
    command.signal?.addEventListener('abort', aborted, { once: true });
    collect(child, output, stop);
    child.on('error', (error) => {
      cause = error;
    });
    child.on('close', (exitCode, signal) => {
      clearTimeout(timer);
      command.signal?.removeEventListener('abort', aborted);
      const stderr = Buffer.concat(output.stderr).toString();
      if (exitCode === 0 && stopped === undefined) return resolve(Buffer.concat(output.stdout).toString());
      const ran = cause === undefined ? exitCode : null;
      const reason = stopped ?? reasonOf({ exitCode: ran, stderr, cause }, signal);
      reject(new CommandError(command, reason, { exitCode: ran, stderr, cause }));
    });
    // A program that ends before it has read all of its input (`ip -batch` at its first error) closes the pipe:
    // its exit status says why, EPIPE does not.
    child.stdin.on('error', () => {});
    child.stdin.end(command.input ?? '');
  });

/** Whoever of it lives on has our pipes open, and would be waited for: `sh` alone is not `cat | wg`. */
function killGroup({ pid }: ChildProcessWithoutNullStreams): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/**
 * Without `node_modules/.bin`, which npm puts first: a package there calls its program `nft`. With the system's
 * directories last, which an unprivileged shell's PATH often lacks.
 */
export function systemPath(): string {
  const path = (process.env['PATH'] ?? '')
    .split(':')
    .filter((directory) => !directory.endsWith('/node_modules/.bin'));
  return [...path, '/usr/sbin', '/sbin'].join(':');
}

function collect(
  child: ChildProcessWithoutNullStreams,
  output: { stdout: Buffer[]; stderr: Buffer[]; size: number },
  stop: (reason: string) => void,
): void {
  const into = (list: Buffer[]) => (chunk: Buffer) => {
    output.size += chunk.length;
    if (output.size > MAX_OUTPUT) stop(`more than ${MAX_OUTPUT} bytes of output`);
    else list.push(chunk);
  };
  child.stdout.on('data', into(output.stdout));
  child.stderr.on('data', into(output.stderr));
}

function reasonOf(end: Ending, signal: NodeJS.Signals | null): string {
  if (codeOf(end.cause) === 'ENOENT') return 'it is not installed, or not on the PATH';
  if (end.cause instanceof Error) return end.cause.message;
  const said = end.stderr.trim().slice(0, 2000);
  const how = signal === null ? `exit status ${end.exitCode}` : `ended by ${signal}`;
  return said === '' ? how : `${how}: ${said}`;
}

function shortArgv(argv: readonly string[]): string {
  const text = argv.join(' ');
  return text.length > 300 ? `${text.slice(0, 300)} …` : text;
}

/** The same runner, inside the network and mount namespace of process `pid`. */
export function inNamespace(run: Run, pid: number): Run {
  return (command) =>
    run({ ...command, argv: ['nsenter', '-t', String(pid), '-n', '-m', '--', ...command.argv] });
}
