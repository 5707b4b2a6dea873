// Reading the stream by direct get: pages of it, or the last word on one subject. No consumer is made for it.

import { createInbox } from '@nats-io/nats-core';
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { LOCAL, PUT } from '../server/subjects.ts';

/** A message of the stream. */
export interface Stored {
  readonly subject: string;
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

/** Messages a page: a page has no flow control, so it must fit what server and client buffer. */
const PAGE = 500;
const PAGE_BYTES = 4 << 20;
/** Milliseconds without a word after which a request is given up; every request may be repeated. */
const TIMEOUT = 700;

/**
 * Everything that the stream holds from a sequence on, in order, oldest first.
 * @throws {Error} when the server falls silent or refuses: read again from where it stopped
 */
export async function* readFrom(connection: NatsConnection, from: number): AsyncIterable<Stored> {
  for (let next = from, pending = true; pending;) {
    const request = { seq: Math.max(next, 1), next_by_subj: `${PUT}.>`, batch: PAGE, max_bytes: PAGE_BYTES };
    const { messages, left } = await page(connection, JSON.stringify(request));
    yield* messages;
    next = (messages.at(-1)?.sequence ?? next) + 1;
    pending = left > 0 && messages.length > 0;
  }
}

/** The last word on a subject; undefined when the stream has none. */
export async function readLast(connection: NatsConnection, subject: string): Promise<Stored | undefined> {
  const request = JSON.stringify({ last_by_subj: subject });
  const message = await connection.request(LOCAL.get, request, { timeout: TIMEOUT });
  if (message.headers?.code === 404) return undefined;
  refuseStatus(message);
  return stored(message);
}

interface Page {
  readonly messages: readonly Stored[];
  /** Messages after the page's last. */
  readonly left: number;
}

/** One batched request: messages, then an empty one with status 204; or 404 where there is nothing. */
async function page(connection: NatsConnection, request: string): Promise<Page> {
  const inbox = createInbox();
  const subscription = connection.subscribe(inbox);
  const watchdog = setTimeout(() => subscription.unsubscribe(), TIMEOUT);
  const messages: Stored[] = [];
  try {
    connection.publish(LOCAL.get, request, { reply: inbox });
    for await (const message of subscription) {
      watchdog.refresh();
      const code = message.headers?.code ?? 0;
      if (code === 204) return { messages, left: Number(message.headers?.get('Nats-Num-Pending')) || 0 };
      if (code === 404) return { messages, left: 0 };
      refuseStatus(message);
      if (messages.length >= PAGE)
        throw new Error('Cannot read the stream: a page is longer than was asked for');
      messages.push(stored(message));
    }
  } finally {
    clearTimeout(watchdog);
    subscription.unsubscribe();
  }
  throw new Error('Cannot read the stream: the broker fell silent in the middle of a page');
}

function refuseStatus({ headers }: Msg): void {
  const code = headers?.code ?? 0;
  if (code !== 0) throw new Error(`Cannot read the stream: ${code} ${headers?.description ?? ''}`);
}

/** A copy: the client hands out windows into its read buffer, and what is kept must not keep that alive. */
function stored(message: Msg): Stored {
  const subject = message.headers?.get('Nats-Subject') ?? '';
  return { subject, sequence: sequenceOf(message), bytes: Uint8Array.from(message.data) };
}

/** The stream's sequence of a stored or republished message; 0 where it says none. */
export function sequenceOf(message: Msg): number {
  const sequence = Number(message.headers?.get('Nats-Sequence'));
  return Number.isSafeInteger(sequence) ? sequence : 0;
}
