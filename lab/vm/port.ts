// A line of text out of the virtual machine: the emulator connects to a socket on which this process listens.

import { once } from 'node:events';
import net from 'node:net';
import type { Writable } from 'node:stream';

export class Port implements AsyncDisposable {
  readonly #server: net.Server;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  static async listen(file: string, into: Writable): Promise<Port> {
    const server = net.createServer((socket) => {
      // The emulator may be killed in the middle of a word.
      socket.on('error', () => {});
      socket.pipe(into, { end: false });
    });
    server.listen(file);
    await once(server, 'listening');
    return new Port(server);
  }

  /** Waits until the emulator has gone and all that came is handed on. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}
