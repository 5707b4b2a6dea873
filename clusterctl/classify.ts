// Which exit code an error means; loaded when there is one, since it knows every package's errors.

import { JoinError, NoBrokerError, Refused, TokenError } from '#broker';
import { codeOf } from '#lib/errors';
import { WireGuardError } from '#lib/wireguard';
import { CommandError } from '#lib/linux';
import { CliError, EXIT } from './exit.ts';
import type { ExitCode } from './exit.ts';

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
]);
const INCAPABLE = new Set(['EACCES', 'EPERM', 'EADDRINUSE', 'ENOSPC', 'EROFS']);

/** Looks at the error and at what caused it: the first that says something decides. */
export function exitCodeOf(error: unknown): ExitCode {
  // Only as the error itself: as a cause it is about what a file of ours holds.
  if (error instanceof SyntaxError) return EXIT.usage;
  for (const one of chain(error)) {
    const code = ownCode(one) ?? systemCode(one);
    if (code !== undefined) return code;
  }
  return EXIT.failed;
}

function* chain(error: unknown): Generator<Error> {
  for (let one = error; one instanceof Error; one = one.cause) yield one;
}

function ownCode(error: Error): ExitCode | undefined {
  if (error instanceof CliError) return error.exitCode;
  if (error instanceof TokenError) return isMisread(error) ? EXIT.usage : EXIT.refused;
  if (error instanceof NoBrokerError) return EXIT.usage;
  if (error instanceof JoinError) return error.fault === 'unreachable' ? EXIT.unreachable : EXIT.refused;
  return error instanceof Refused ? EXIT.refused : toolCode(error);
}

function toolCode(error: Error): ExitCode | undefined {
  if (error instanceof CommandError) return isForbidden(error) ? EXIT.incapable : EXIT.failed;
  if (!(error instanceof WireGuardError)) return undefined;
  return error.isForbidden || error.isUnsupported ? EXIT.incapable : EXIT.failed;
}

/** The token is none, as opposed to one that is no longer good. */
function isMisread({ fault }: TokenError): boolean {
  return fault !== 'expired' && fault !== 'other-cluster';
}

function isForbidden({ isMissing, stderr }: CommandError): boolean {
  return isMissing || /operation not permitted|permission denied|not supported/i.test(stderr);
}

function systemCode(error: Error): ExitCode | undefined {
  const code = codeOf(error) ?? '';
  if (UNREACHABLE.has(code)) return EXIT.unreachable;
  return INCAPABLE.has(code) ? EXIT.incapable : undefined;
}
