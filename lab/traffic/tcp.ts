// TCP at both ends: long connections on which small writes go out, and whatever comes is sent back.

import { once } from 'node:events';
import net from 'node:net';
import type * as v from 'valibot';
import { now } from './clock.ts';
import { TRAFFIC_PORT, type ConnectionSeen } from './protocol.ts';

const READ_BYTES = 65_536;

/** Gives back what it is sent, on every address. */
export async function serveEchoes(): Promise<net.Server> {
  const server = net.createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => socket.write(chunk));
  });
  server.listen({ port: TRAFFIC_PORT, host: '::', backlog: 512 });
  await once(server, 'listening');
  return server;
}

/** One connection, from the side that opens it. */
export class Connection {
  readonly #socket: net.Socket;
  readonly #data: Buffer;
  readonly #seen: v.InferOutput<typeof ConnectionSeen> = { port: 0, sent: [], echoed: [] };
  #back = 0;
  #isClosing = false;

  private constructor(to: string, bytes: number) {
    this.#data = Buffer.alloc(bytes, 0x69);
    // Read past the stream: nobody looks at what comes back, and this costs half.
    const onread = { buffer: Buffer.alloc(READ_BYTES), callback: (got: number): boolean => this.#came(got) };
    this.#socket = net.connect({ host: to, port: TRAFFIC_PORT, noDelay: true, onread });
  }

  /** Rejects if it cannot be opened. */
  static async open(to: string, bytes: number): Promise<Connection> {
    const connection = new Connection(to, bytes);
    await once(connection.#socket, 'connect');
    connection.#watch();
    return connection;
  }

  #watch(): void {
    const ended = (why: string): void => {
      if (!this.#isClosing) this.#seen.ended ??= { at: now(), why };
    };
    this.#seen.port = this.#socket.localPort ?? 0;
    this.#socket.on('error', (error) => ended(error.message));
    this.#socket.on('close', () => ended('closed'));
  }

  #came(bytes: number): boolean {
    this.#back += bytes;
    const at = now();
    const { echoed } = this.#seen;
    while (this.#back >= (echoed.length + 1) * this.#data.length) echoed.push(at);
    return true;
  }

  write(): void {
    if (!this.#socket.writable) return;
    this.#seen.sent.push(now());
    this.#socket.write(this.#data);
  }

  /** Nothing is under way, or will ever come. */
  get isQuiet(): boolean {
    const { sent, echoed, ended } = this.#seen;
    return ended !== undefined || echoed.length === sent.length;
  }

  /** Ends it, and says what was seen of it. */
  close(): v.InferOutput<typeof ConnectionSeen> {
    this.#isClosing = true;
    this.#socket.destroy();
    return this.#seen;
  }
}
