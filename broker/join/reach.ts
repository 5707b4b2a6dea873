// Which of the broker's addresses answer: asked before the NATS client, which leaves sockets open where one does not.

import { connect } from 'node:net';
import { BROKER_PORT } from '#lib/constants';
import { splitHost } from '../server/data-directory.ts';

export interface Reach {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The URLs at which something speaks NATS, in their order.
 * @throws {Error} with the reason for each URL, when there is none
 */
export async function reachable(urls: readonly string[], reach: Reach): Promise<readonly string[]> {
  const results = await Promise.all(urls.map(async (url) => ({ url, reason: await refusalOf(url, reach) })));
  const good = results.filter(({ reason }) => reason === undefined);
  if (good.length > 0) return good.map(({ url }) => url);
  reach.signal?.throwIfAborted();
  throw new Error(results.map(({ url, reason }) => `${url}: ${reason ?? ''}`).join('; '));
}

/** Undefined: a NATS server greets there. */
function refusalOf(url: string, { timeoutMs, signal }: Reach): Promise<string | undefined> {
  const { host, port = BROKER_PORT } = splitHost(url.replace(/^[a-z]+:\/\//, ''));
  return new Promise((resolve) => {
    const socket = connect({ host, port, ...(signal === undefined ? {} : { signal }) });
    const finish = (reason?: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(reason);
    };
    const timer = setTimeout(
      () => finish(socket.connecting ? 'no answer' : 'it accepts and says nothing'),
      timeoutMs,
    );
    socket.once('error', (error) => finish(error.message));
    socket.once('close', () => finish('it closes the connection'));
    socket.once('data', (data) =>
      finish(data.toString('latin1').startsWith('INFO ') ? undefined : 'it does not speak NATS'),
    );
  });
}
