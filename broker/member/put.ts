// Putting a record into the stream.

import type { MsgHdrs, NatsConnection } from '@nats-io/nats-core';
import { LOCAL } from '../server/subjects.ts';
import type { HeldRecord } from '../trust/ledger.ts';

/** Milliseconds. A request around a reconnect is lost; a put may be repeated, so the wait is short. */
const TIMEOUT = 600;

/**
 * Puts a record into its slot. `expected` is the sequence of the message it replaces, 0 for none; absent: whatever.
 * @throws {Error} with what the server said
 */
export async function put(
  connection: NatsConnection,
  { slot, bytes }: Pick<HeldRecord, 'slot' | 'bytes'>,
  headers?: MsgHdrs,
): Promise<void> {
  const options = headers === undefined ? {} : { headers };
  const answer = await connection.request(`${LOCAL.put}.${slot}`, bytes, { timeout: TIMEOUT, ...options });
  const { error } = answer.json<{ error?: { description?: string } }>();
  if (error !== undefined)
    throw new Error(`Cannot put "${slot}": ${error.description ?? 'the broker refused it'}`);
}
