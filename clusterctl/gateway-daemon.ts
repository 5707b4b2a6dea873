// What this host's gateway daemon says, for commands that only a gateway can serve.

import * as v from 'valibot';
import { CliError, EXIT } from './exit.ts';
import { OTHER_VERSION, askDaemon } from './snapshot.ts';
import type { DaemonSnapshot } from './snapshot.ts';

/** Which command asks, as its errors name it, and what it reads besides that which every daemon says. */
export interface Question<T> {
  /** `drain`, `rotate keys`. */
  readonly action: string;
  readonly more: v.GenericSchema<unknown, T>;
  readonly statusPort?: number;
}

export interface GatewaySnapshot<T> extends DaemonSnapshot {
  readonly more: T;
}

const GATEWAY = v.looseObject({ component: v.literal('gateway') });

/** @throws {CliError} where no gateway's daemon answers, or it knows no clusterset, or is of another version */
export async function askGateway<T>({ action, more, statusPort }: Question<T>): Promise<GatewaySnapshot<T>> {
  const snapshot = await askDaemon(statusPort);
  if (snapshot === undefined || !v.is(GATEWAY, snapshot.daemon)) {
    throw new CliError(
      EXIT.unreachable,
      `Cannot ${action} from this host: no gateway daemon answers on it. Run this on the gateway. See: systemctl status isthmus-gateway`,
    );
  }
  const result = v.safeParse(more, snapshot.daemon);
  if (result.success) return { ...snapshot, more: result.output };
  throw new CliError(EXIT.failed, `Cannot ${action} from this host: ${OTHER_VERSION}`);
}

/** For one look of many: undefined where it does not answer this time, or knows nothing yet, as after a restart. */
export async function glanceAtGateway<T>(question: Question<T>): Promise<GatewaySnapshot<T> | undefined> {
  try {
    return await askGateway(question);
  } catch (error) {
    if (error instanceof CliError) return undefined;
    throw error;
  }
}
