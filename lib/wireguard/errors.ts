// What went wrong with `wg`, as questions that a caller decides on.

import { CommandError } from '#lib/linux';

/** `wg` always exits with status 1: its words tell failures apart. */
export class WireGuardError extends Error {
  override readonly name = 'WireGuardError';
  /** There is no such device. Where the kernel has no WireGuard, `wg` cannot tell this from {@link isUnsupported}. */
  readonly isNotFound: boolean;
  /** Root (CAP_NET_ADMIN) is missing. */
  readonly isForbidden: boolean;
  /** Neither the kernel nor a process speaks WireGuard for this device. */
  readonly isUnsupported: boolean;

  /** `known`: answers that do not stand in stderr. */
  constructor(action: string, cause: unknown, known: { isNotFound?: true; isUnsupported?: true } = {}) {
    const said = cause instanceof CommandError ? cause.stderr.trim() : '';
    const reason = said === '' && cause instanceof Error ? cause.message : said;
    super(`Cannot ${action}: ${reason}`, { cause });
    this.isNotFound = known.isNotFound ?? /No such device/.test(said);
    this.isForbidden = /Operation not permitted|Permission denied/.test(said);
    this.isUnsupported =
      known.isUnsupported ?? /(?:Protocol|Operation) not supported|Unknown device type/.test(said);
  }
}
