// The connection to the broker: made as soon as it can be, kept for ever, never given up.

import type { NatsConnection, Status } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { messageOf } from '#lib/errors';
import type { Authenticator } from './credentials.ts';
import type { Membership } from './membership.ts';
import { FOREVER, pause } from './wake.ts';

/** Told of the connection's fate. */
export interface LinkEvents {
  /** Connected, for the first time or again: whatever was missed meanwhile is to be read now. */
  readonly onUp: (connection: NatsConnection) => void;
  /** Lost, refused or not found; it is being tried again. */
  readonly onDown: (reason: string) => void;
  /** The server refused one thing; the connection stands. */
  readonly onFault: (reason: string) => void;
}

/** Where the broker is. */
export type Place = Pick<Membership, 'urls' | 'ca'>;

/** Milliseconds: first pause after a failure and longest one; up to as long again is added as jitter. */
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 1500;
/** The longest that closing may take. */
const CLOSING = 1000;

/**
 * Connects, and connects again whenever the connection ends. Every default of the client that gives up, or that
 * takes minutes to notice a dead server, is set aside here.
 */
export async function keepLinked(
  place: Place & { readonly authenticator: Authenticator },
  signal: AbortSignal,
  events: LinkEvents,
): Promise<void> {
  const backOff = newBackOff();
  while (!signal.aborted) {
    try {
      const connection = await unless(signal, dial(place, place.authenticator, backOff.next));
      if (connection === undefined) return;
      backOff.reset();
      await serve(connection, signal, { events, backOff });
      if (!signal.aborted) events.onDown('the connection was closed');
    } catch (error) {
      if (!signal.aborted) events.onDown(messageOf(error));
    }
    if (!signal.aborted) await pause(backOff.next(), signal);
  }
}

/** The client cannot be told to stop dialling: a connection that comes too late is closed by itself. */
async function unless(
  signal: AbortSignal,
  dialled: Promise<NatsConnection>,
): Promise<NatsConnection | undefined> {
  const connection = await within(FOREVER, dialled, signal);
  if (connection === undefined || signal.aborted)
    void dialled.then(
      (late) => late.close(),
      () => undefined,
    );
  return signal.aborted ? undefined : connection;
}

/** What was promised; undefined after `ms`, or once the signal aborts. */
async function within<Result>(
  ms: number,
  promised: Promise<Result>,
  signal?: AbortSignal,
): Promise<Result | undefined> {
  const waiting = new AbortController();
  const ended = signal === undefined ? waiting.signal : AbortSignal.any([signal, waiting.signal]);
  const late = pause(ms, ended).then(() => undefined);
  try {
    return await Promise.race([promised, late]);
  } finally {
    waiting.abort();
  }
}

/** Reports on a connection until it is closed for good, or the signal aborts. */
async function serve(connection: NatsConnection, signal: AbortSignal, reporting: Reporting): Promise<void> {
  const reports = reportAll(connection, reporting);
  reporting.events.onUp(connection);
  await within(FOREVER, connection.closed(), signal);
  // Not drained, as its disposal would: that waits for a server, and a connection being made again may have none.
  await within(CLOSING, Promise.all([connection.close(), reports]));
}

async function reportAll(connection: NatsConnection, reporting: Reporting): Promise<void> {
  for await (const status of connection.status()) report(status, connection, reporting);
}

/** One connection with these credentials. TLS always, and only with the authority that the join pinned. */
export function dial(
  { urls, ca }: Place,
  authenticator: Authenticator,
  reconnectDelay: () => number,
): Promise<NatsConnection> {
  return connect({
    servers: [...urls],
    tls: { ca },
    authenticator,
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

interface Reporting {
  readonly events: LinkEvents;
  readonly backOff: BackOff;
}

interface BackOff {
  readonly next: () => number;
  readonly reset: () => void;
}

/**
 * Pauses that grow with the time since all was well. The client asks anew whenever a pause is over and waits on if the
 * answer has grown by more than the pause; so the answer depends on the time alone, and the jitter stays for one outage.
 */
function newBackOff(): BackOff {
  let since: number | undefined;
  let jitter = 1;
  return {
    next: () => {
      if (since === undefined) jitter = 1 + Math.random();
      since ??= performance.now();
      return Math.min(Math.max((performance.now() - since) / 4, FIRST_PAUSE), LONGEST_PAUSE) * jitter;
    },
    reset: () => {
      since = undefined;
    },
  };
}

function report(status: Status, connection: NatsConnection, { events, backOff }: Reporting): void {
  if (status.type === 'reconnect') {
    backOff.reset();
    events.onUp(connection);
  } else if (status.type === 'disconnect' || status.type === 'staleConnection') {
    events.onDown('the connection was lost');
  } else if (status.type === 'error') {
    events.onFault(status.error.message);
  }
}
