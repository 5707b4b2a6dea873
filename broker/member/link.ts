// The connection to the broker: made as soon as it can be, kept for ever, never given up.

import type { NatsConnection, Status } from '@nats-io/nats-core';
import { credsAuthenticator } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import type { Membership, OpenMembership } from './membership.ts';
import { pause } from './wake.ts';

/** Told of the connection's fate. */
export interface LinkEvents {
  /** Connected, for the first time or again: whatever was missed meanwhile is to be read now. */
  readonly onUp: (connection: NatsConnection) => void;
  /** Lost, refused or not found; it is being tried again. */
  readonly onDown: (reason: string) => void;
  /** The server refused one thing; the connection stands. */
  readonly onFault: (reason: string) => void;
}

/** First pause after a failure and longest one, in milliseconds; jitter as long again is added to each. */
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 1500;

/**
 * Connects, and connects again whenever the connection ends. Every default of the client that gives up, or that
 * takes minutes to notice a dead server, is set aside here.
 */
export async function keepLinked(
  membership: OpenMembership,
  signal: AbortSignal,
  events: LinkEvents,
): Promise<void> {
  const backOff = newBackOff();
  while (!signal.aborted) {
    try {
      await using connection = await dial(membership, membership.credentials, backOff.next);
      backOff.reset();
      const close = (): void => void connection.close();
      signal.addEventListener('abort', close, { once: true });
      events.onUp(connection);
      for await (const status of connection.status()) report(status, connection, { events, backOff });
      signal.removeEventListener('abort', close);
      if (!signal.aborted) events.onDown('the connection was closed');
    } catch (error) {
      if (!signal.aborted) events.onDown(error instanceof Error ? error.message : String(error));
    }
    if (!signal.aborted) await pause(backOff.next(), signal);
  }
}

/** One connection with these credentials. TLS always, and only with the authority that the join pinned. */
export function dial(
  { urls, ca }: Pick<Membership, 'urls' | 'ca'>,
  credentials: string,
  reconnectDelay: () => number,
): Promise<NatsConnection> {
  return connect({
    servers: [...urls],
    tls: { ca },
    authenticator: credsAuthenticator(new TextEncoder().encode(credentials)),
    timeout: 2000,
    // Without end: a broker that is away for weeks must not need a thousand restarts when it is back.
    maxReconnectAttempts: -1,
    // Two equal authentication errors would end the connection for ever; a broker may be misconfigured for a while.
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler: reconnectDelay,
    // A server's own idea of its addresses need not be in its TLS certificate; the membership's URLs are.
    ignoreClusterUpdates: true,
    // A server that hangs is noticed after 3 s; the default is minutes.
    pingInterval: 1500,
    maxPingOut: 2,
  });
}

interface BackOff {
  readonly next: () => number;
  readonly reset: () => void;
}

function newBackOff(): BackOff {
  let ms = FIRST_PAUSE;
  return {
    next: () => {
      const wait = ms * (1 + Math.random());
      ms = Math.min(ms * 1.5, LONGEST_PAUSE);
      return wait;
    },
    reset: () => {
      ms = FIRST_PAUSE;
    },
  };
}

function report(
  status: Status,
  connection: NatsConnection,
  { events, backOff }: { readonly events: LinkEvents; readonly backOff: BackOff },
): void {
  if (status.type === 'reconnect') {
    backOff.reset();
    events.onUp(connection);
  } else if (status.type === 'disconnect' || status.type === 'staleConnection') {
    events.onDown('the connection was lost');
  } else if (status.type === 'error') {
    events.onFault(status.error.message);
  }
}
