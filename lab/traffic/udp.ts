// UDP at both ends: flows that are sent, and what arrives of the other side's.

import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { now } from './clock.ts';
import { TRAFFIC_PORT, type Seen } from './protocol.ts';

/**
 * Flow, sequence number, and its complement: so all datagrams of a flow have the same UDP checksum. wireguard-go writes a checksum of
 * 0 where it has to be 0xffff, and receivers drop one of 65,536 over IPv6 for it (RFC 8200 §8.1), which is no loss of the network.
 */
const HEADER = 10;
/** A socket may still hold a buffer when the next datagram is made. */
const BUFFERS = 8;

/** One 5-tuple. */
export class Flow {
  /** When each datagram was sent. */
  readonly sent: number[] = [];
  readonly #socket: dgram.Socket;
  readonly #buffers: readonly Buffer[];
  readonly #to: string;

  private constructor(id: number, to: string, bytes: number) {
    this.#to = to;
    this.#buffers = Array.from({ length: BUFFERS }, () => Buffer.alloc(Math.max(bytes, HEADER)));
    for (const buffer of this.#buffers) buffer.writeUInt16BE(id);
    const family = net.isIPv6(to) ? 6 : 4;
    // Without a look-up, a datagram leaves in the moment that it is stamped.
    this.#socket = dgram.createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      lookup: (host, _, answer) => answer(null, host, family),
    });
    // "Unreachable" is a datagram lost, and counted so. The socket is not connected: else one error would cost the next datagram.
    this.#socket.on('error', () => {});
  }

  static async open(id: number, to: string, bytes: number): Promise<Flow> {
    const flow = new Flow(id, to, bytes);
    // Asked for first: with nothing to look up, it listens before the call returns.
    const listening = once(flow.#socket, 'listening');
    flow.#socket.bind(0);
    await listening;
    return flow;
  }

  send(): void {
    const sequence = this.sent.length;
    const buffer = this.#buffers[sequence % BUFFERS];
    if (buffer === undefined) return;
    buffer.writeUInt32BE(sequence, 2);
    buffer.writeUInt32BE(~sequence >>> 0, 6);
    this.sent.push(now());
    this.#socket.send(buffer, TRAFFIC_PORT, this.#to);
  }

  close(): void {
    this.#socket.close();
  }
}

/** Notes whatever arrives. */
export class Arrivals {
  readonly flows: Seen['arrived'] = [];
  readonly #socket = dgram.createSocket('udp6');

  async listen(): Promise<void> {
    this.#socket.on('message', (message) => this.#note(message));
    this.#socket.bind(TRAFFIC_PORT, '::');
    await once(this.#socket, 'listening');
  }

  #note(message: Buffer): void {
    const at = now();
    const id = message.readUInt16BE();
    while (this.flows.length <= id) this.flows.push({ sequences: [], at: [] });
    const flow = this.flows[id];
    flow?.sequences.push(message.readUInt32BE(2));
    flow?.at.push(at);
  }

  close(): void {
    this.#socket.close();
  }
}
