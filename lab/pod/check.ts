// Reaches a pod: by which address did it see us, and how long did a byte take there and back.

import dgram from 'node:dgram';
import net from 'node:net';
import { WHO_PORT, type Check, type CheckResult } from './protocol.ts';

/** Round trips that are timed once the far end has answered; the shortest counts, so that a busy machine does not. */
const ROUNDS = 3;

export function check(wanted: Check): Promise<CheckResult> {
  const { promise, resolve } = Promise.withResolvers<CheckResult>();
  const probe = wanted.protocol === 'tcp' ? overTcp(wanted, resolve) : overUdp(wanted, resolve);
  const timer = setTimeout(() => resolve({ error: 'timeout' }), wanted.timeoutMs);
  return promise.finally(() => {
    clearTimeout(timer);
    probe.close();
  });
}

type Resolve = (result: CheckResult) => void;

function overTcp(wanted: Check, resolve: Resolve): { close(): void } {
  const socket = net.connect({ host: wanted.address, port: WHO_PORT });
  socket.setNoDelay(true);
  const rounds = new Rounds(() => socket.write('.'));
  let line = '';
  let seenAs: string | undefined;
  socket.on('data', (chunk) => {
    if (seenAs !== undefined) return rounds.back(seenAs, resolve);
    line += chunk.toString();
    if (!line.endsWith('\n')) return;
    seenAs = line.trim();
    rounds.next();
  });
  socket.on('error', (error) => resolve({ error: codeOf(error) }));
  socket.on('close', () => resolve({ error: 'closed' }));
  return { close: () => socket.destroy() };
}

function overUdp(wanted: Check, resolve: Resolve): { close(): void } {
  const socket = dgram.createSocket(net.isIPv6(wanted.address) ? 'udp6' : 'udp4');
  const rounds = new Rounds(() => socket.send('.'));
  socket.on('message', (chunk) => rounds.back(chunk.toString(), resolve));
  socket.on('error', (error) => resolve({ error: codeOf(error) }));
  // Called in either case: an address that no route leads to is refused here already.
  socket.connect(WHO_PORT, wanted.address, (error?: Error) =>
    error === undefined ? rounds.next() : resolve({ error: codeOf(error) }),
  );
  return { close: () => socket.close() };
}

/** A few timed round trips, one after the other. */
class Rounds {
  readonly #send: () => void;
  #left = ROUNDS;
  #sent = 0;
  #best = Infinity;

  constructor(send: () => void) {
    this.#send = send;
  }

  next(): void {
    this.#sent = performance.now();
    this.#send();
  }

  back(seenAs: string, resolve: Resolve): void {
    this.#best = Math.min(this.#best, performance.now() - this.#sent);
    this.#left -= 1;
    if (this.#left === 0) resolve({ seenAs, rttMs: Math.round(this.#best * 1000) / 1000 });
    else this.next();
  }
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
