// How a join or a leave ends when it does not succeed.

import { messageOf } from '#lib/errors';
import type { JoinFault } from './message.ts';

/** The broker's reasons, and those that arise before it is asked. */
export type MembershipFault = JoinFault | 'unreachable' | 'other-membership' | 'not-told';

/** Callers decide on `fault`: whether it is worth another try, and with what exit status to end. */
export class JoinError extends Error {
  override readonly name = 'JoinError';
  readonly fault: MembershipFault;

  constructor(fault: MembershipFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

/** @param action what could not be done, with its object: `join "east"` */
export function unreachable(
  action: string,
  urls: readonly string[],
  { timeoutMs, cause }: { readonly timeoutMs: number; readonly cause: unknown },
): JoinError {
  const said = messageOf(cause);
  const seconds = Math.round(timeoutMs / 100) / 10;
  const reason = `the broker at ${urls.join(', ')} does not answer within ${seconds} s (${said})`;
  const next = 'Check that it runs and that this host reaches the port, then run the same command again';
  return new JoinError('unreachable', `Cannot ${action}: ${reason}. ${next}`, { cause });
}
