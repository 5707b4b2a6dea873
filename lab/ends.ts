// Talks to the processes that stand for pods.

import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '#lib/errors';
import { parseResult, renderCheck, type Check, type CheckResult } from './pod/protocol.ts';

/**
 * Asks the process behind a control socket to make these checks, so many at once; one result each, in order.
 * Only round trips that are measured one at a time say something about the network and not about the queue.
 */
export async function askEnd(
  socketPath: string,
  checks: readonly Check[],
  atOnce: number,
): Promise<CheckResult[]> {
  const socket = net.connect(socketPath);
  const results: CheckResult[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let sent = 0;
  let answered = 0;
  const next = (): void => {
    const wanted = checks[sent];
    if (wanted !== undefined) socket.write(`${renderCheck(sent++, wanted)}\n`);
  };
  socket.on('error', reject);
  socket.on('close', () => reject(new Error(`Cannot ask "${socketPath}": it has ended`)));
  createInterface({ input: socket })
    .on('line', (line) => {
      const { id, result } = parseResult(line);
      results[id] = result;
      answered += 1;
      if (answered === checks.length) resolve();
      else next();
    })
    .on('error', reject);
  for (let n = 0; n < atOnce; n += 1) next();
  if (checks.length === 0) resolve();
  try {
    await promise;
    return results;
  } finally {
    socket.destroy();
  }
}

/** There is no socket, or nobody listens on it. */
const NOT_YET = new Set(['ENOENT', 'ECONNREFUSED']);

/** Waits until the process listens: the socket is there a moment sooner. */
export async function waitForEnd(socketPath: string, timeoutMs = 10_000): Promise<void> {
  for (const until = Date.now() + timeoutMs; Date.now() < until; await sleep(10)) {
    const socket = net.connect(socketPath);
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (!NOT_YET.has(codeOf(error) ?? '')) throw error;
    } finally {
      socket.destroy();
    }
  }
  throw new Error(`Cannot reach "${socketPath}": nothing listened there within ${timeoutMs} ms`);
}
