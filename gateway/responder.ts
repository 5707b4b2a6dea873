// Sockets on this gateway's fabric addresses: they answer probes, and carry ours.

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { PROBE_PORT } from '#lib/constants';
import { encodeProbe, parseProbe } from './probe-message.ts';

/** Called for each answer that arrives, with the address it came from as Node prints it. */
export type OnAnswer = (from: string, nonce: bigint) => void;

/** What is done for one address: a socket, or a while of rest after one that could not be had. */
interface Place {
  socket: Socket | undefined;
  isBound: boolean;
  /** In a row. */
  failures: number;
  reason: string;
  /** Monotonic milliseconds. */
  retryAt: number;
}

/** Milliseconds until an address that could not be bound is tried again. */
const RETRY_MS = 1000;
/** Failures that are no news: an address may still be on its way to the host. */
const EXPECTED_FAILURES = 2;

/** One UDP socket per fabric address, opened as the addresses come to stand on the host. */
export class ProbeSockets {
  readonly #onAnswer: OnAnswer;
  readonly #places = new Map<string, Place>();

  constructor(onAnswer: OnAnswer) {
    this.#onAnswer = onAnswer;
  }

  /** Opens what is missing and closes what is not wanted. `now` is of a monotonic clock. */
  sync(addresses: ReadonlySet<string>, now: number): void {
    for (const [address, { socket }] of this.#places) {
      if (addresses.has(address)) continue;
      this.#places.delete(address);
      socket?.close();
    }
    for (const address of addresses) {
      const place = this.#places.get(address) ?? newPlace();
      this.#places.set(address, place);
      if (place.socket === undefined && place.retryAt <= now) this.#open(address, place, now);
    }
  }

  /** Nothing is sent where the socket is not there yet, or the host refuses (no route, link down): a miss like any other. */
  ask(local: string, remote: string, nonce: bigint): void {
    const place = this.#places.get(local);
    if (place?.isBound !== true) return;
    place.socket?.send(encodeProbe({ kind: 'ask', nonce }), PROBE_PORT, remote, () => {});
  }

  /** Why an address has no socket, by address. */
  refused(): ReadonlyMap<string, string> {
    const lasting = [...this.#places].filter(([, { failures }]) => failures > EXPECTED_FAILURES);
    return new Map(lasting.map(([address, { reason }]) => [address, reason]));
  }

  close(): void {
    this.sync(new Set(), 0);
  }

  #open(address: string, place: Place, now: number): void {
    const socket = openProbeSocket(address, this.#onAnswer);
    Object.assign(place, { socket, retryAt: now + RETRY_MS });
    socket.on('error', ({ message }) => {
      if (this.#places.get(address) !== place || place.socket !== socket) return;
      const failures = place.failures + 1;
      Object.assign(place, { socket: undefined, isBound: false, failures, reason: message });
      socket.close();
    });
    socket.bind({ address, port: PROBE_PORT, exclusive: true }, () => {
      Object.assign(place, { isBound: true, failures: 0 });
    });
  }
}

/** A socket that answers what it is asked and hands on what it is answered. The caller binds it. */
export function openProbeSocket(address: string, onAnswer: OnAnswer): Socket {
  const socket = createSocket({ type: isIP(address) === 4 ? 'udp4' : 'udp6', reuseAddr: true });
  let isConnected = false;
  socket.once('connect', () => {
    isConnected = true;
  });
  socket.on('message', (bytes, { address: from, port }) => {
    const probe = parseProbe(bytes);
    if (probe === undefined || port !== PROBE_PORT) return;
    if (probe.kind === 'answer') return onAnswer(from, probe.nonce);
    const answer = encodeProbe({ kind: 'answer', nonce: probe.nonce });
    if (isConnected) socket.send(answer, () => {});
    else socket.send(answer, port, from, () => {});
  });
  return socket;
}

function newPlace(): Place {
  return { socket: undefined, isBound: false, failures: 0, reason: '', retryAt: 0 };
}
