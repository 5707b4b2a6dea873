// Sockets on this gateway's fabric addresses: they answer probes, and carry ours.

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { PROBE_PORT } from '#lib/constants';
import { encodeProbe, parseProbe } from './probe-message.ts';

/** Called for each answer that arrives, with the address it came from as Node prints it. */
export type OnAnswer = (from: string, nonce: bigint) => void;

/** One UDP socket per fabric address, opened as the addresses come to stand on the host. */
export class ProbeSockets {
  readonly #onAnswer: OnAnswer;
  readonly #sockets = new Map<string, { socket: Socket; bound: boolean }>();

  constructor(onAnswer: OnAnswer) {
    this.#onAnswer = onAnswer;
  }

  /** Opens what is missing and closes what is not wanted. An address that cannot be bound yet is tried again at the next call. */
  sync(addresses: ReadonlySet<string>): void {
    for (const [address, { socket }] of this.#sockets) {
      if (!addresses.has(address)) {
        this.#sockets.delete(address);
        socket.close();
      }
    }
    for (const address of addresses) if (!this.#sockets.has(address)) this.#open(address);
  }

  /** False where the socket is not there yet, or the packet was refused on this host (no route, link down): a miss like any other. */
  ask(local: string, remote: string, nonce: bigint): boolean {
    const entry = this.#sockets.get(local);
    if (entry?.bound !== true) return false;
    entry.socket.send(encodeProbe({ kind: 'ask', nonce }), PROBE_PORT, remote, () => {});
    return true;
  }

  close(): void {
    this.sync(new Set());
  }

  #open(address: string): void {
    const socket = createSocket(isIP(address) === 4 ? 'udp4' : 'udp6');
    const entry = { socket, bound: false };
    this.#sockets.set(address, entry);
    socket.on('error', () => {
      if (this.#sockets.get(address) !== entry) return;
      this.#sockets.delete(address);
      socket.close();
    });
    socket.on('message', (bytes, { address: from, port }) => this.#receive(socket, bytes, { from, port }));
    socket.bind({ address, port: PROBE_PORT, exclusive: true }, () => {
      entry.bound = true;
    });
  }

  #receive(socket: Socket, bytes: Buffer, { from, port }: { from: string; port: number }): void {
    const probe = parseProbe(bytes);
    if (probe === undefined || port !== PROBE_PORT) return;
    if (probe.kind === 'answer') this.#onAnswer(from, probe.nonce);
    else socket.send(encodeProbe({ kind: 'answer', nonce: probe.nonce }), port, from, () => {});
  }
}
