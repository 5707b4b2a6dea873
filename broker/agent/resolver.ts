// The running server's knowledge of accounts: what is pushed counts at once, what is deleted is cut off at once.

import type { NatsConnection } from '@nats-io/nats-core';
import * as v from 'valibot';
import { encodeJwt } from '#lib/nats';
import type { NkeyPublic } from '#lib/nats';
import type { Keys } from '../server/data-directory.ts';

const TIMEOUT_MS = 2_000;
const ANSWER = v.object({
  data: v.optional(v.object({ code: v.number(), message: v.optional(v.string()) })),
  error: v.optional(v.object({ code: v.number(), description: v.optional(v.string()) })),
});

export class Resolver {
  readonly #connection: NatsConnection;
  readonly #keys: Keys;

  /** @param connection a user of the system account */
  constructor(connection: NatsConnection, keys: Keys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  async push(jwt: string): Promise<void> {
    await this.#ask('$SYS.REQ.CLAIMS.UPDATE', jwt);
  }

  /** Ends the accounts' connections, and keeps them out. */
  async remove(accounts: readonly NkeyPublic[], now: Date): Promise<void> {
    const signer = this.#keys.operatorSigning;
    const jwt = encodeJwt({
      name: 'end',
      subject: signer.publicKey,
      signer,
      claims: { type: 'generic', version: 2, accounts },
      issuedAt: Math.floor(now.getTime() / 1000),
    });
    await this.#ask('$SYS.REQ.CLAIMS.DELETE', jwt);
  }

  async #ask(subject: string, body: string): Promise<void> {
    const reply = await this.#connection.request(subject, body, { timeout: TIMEOUT_MS });
    const { data, error } = v.parse(ANSWER, reply.json<unknown>());
    if (error === undefined && data?.code === 200) return;
    throw new Error(
      `Cannot change accounts of nats-server: ${error?.description ?? data?.message ?? 'no reason'}`,
    );
  }
}
