// A cluster's side of the broker: follows what others say, keeps it, and says its own.

import type { Log } from '#lib/log';
import type { ClustersetView, GatewayView } from '../view.ts';
import type { BrokerStatus } from './status.ts';

export interface MemberOptions {
  /** Secrets directory, with the membership. */
  readonly secrets: string;
  /** State directory of this host: last known good, counters. */
  readonly state: string;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** @default the system's clock */
  readonly now?: () => Date;
}

export interface Member extends AsyncDisposable {
  /** What is known now: from disk at first, then from the broker. */
  view(): ClustersetView;
  /** Yields the view whenever it has changed; slow readers see the newest only. Ends with the signal. */
  changes(): AsyncIterable<ClustersetView>;
  /**
   * States what this gateway is, from now on and against whatever the broker loses, until withdrawn. Resolves when the
   * statement is signed and its counter is on disk; the broker may be away.
   */
  publishGateway(gateway: GatewayView): Promise<void>;
  /** Ends the statement by a signed tombstone. Resolves when the broker has it, or after two seconds without. */
  withdraw(): Promise<void>;
  status(): BrokerStatus;
}

/** @throws {Error} when there is no usable membership in the secrets directory */
export function openMember(options: MemberOptions): Promise<Member> {
  return Promise.reject(new Error(`Cannot open the membership in "${options.secrets}": this is a skeleton`));
}
