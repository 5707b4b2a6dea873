// Connections of the broker's own programs to its server, by users that exist in memory only.

import { connect } from '@nats-io/transport-node';
import type { Auth, ConnectionOptions, NatsConnection } from '@nats-io/nats-core';
import { encodeJwt, Nkey } from '#lib/nats';
import type { UserClaims } from '#lib/nats';

export interface ConnectOptions {
  readonly servers: readonly string[];
  /** PEM of the authority that signed the servers' certificates. */
  readonly ca: string;
  readonly name: string;
  readonly jwt: string;
  readonly user: Nkey;
  readonly inboxPrefix?: string;
  /** Try for ever; else one round over the servers. */
  readonly forever: boolean;
  /** Milliseconds for one attempt. */
  readonly timeout: number;
}

/** Milliseconds: a server that froze is noticed after two misses. */
const PING_INTERVAL_MS = 1_000;

export async function connectUser(options: ConnectOptions): Promise<NatsConnection> {
  const { servers, ca, name, jwt, user, forever, timeout } = options;
  const settings: ConnectionOptions = {
    servers: [...servers],
    tls: { ca },
    name,
    timeout,
    // Its own encoder signs a thousand times faster than the library's.
    authenticator: (nonce?: string): Auth => ({
      jwt,
      nkey: user.publicKey,
      sig: user.sign(Buffer.from(nonce ?? '')).toString('base64url'),
    }),
    // What a server believes of its own addresses need not be what its certificate says.
    ignoreClusterUpdates: true,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    reconnect: forever,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 100,
    reconnectJitterTLS: 100,
    ignoreAuthErrorAbort: true,
    ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
  };
  return connect(settings);
}

/** A fresh user in the account, and its JWT. `expiresAt` in UNIX seconds; absent: it never expires. */
export function mintUser(
  account: Nkey,
  name: string,
  claims: UserClaims,
  { issuedAt, expiresAt }: { readonly issuedAt: Date; readonly expiresAt?: number },
): { readonly user: Nkey; readonly jwt: string } {
  const user = Nkey.generate('user');
  const dates = {
    issuedAt: Math.floor(issuedAt.getTime() / 1000),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
  return { user, jwt: encodeJwt({ name, subject: user.publicKey, signer: account, claims, ...dates }) };
}
