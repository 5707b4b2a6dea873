// One silent path, asked by a connected socket: it alone hears that a far kernel refuses.

import { PROBE_PORT } from '#lib/constants';
import type { Ends } from './seal.ts';
import { openProbeSocket } from './sockets.ts';
import type { OnArrival } from './sockets.ts';

export interface InquiryOptions {
  readonly ends: Ends;
  readonly onArrival: OnArrival;
  /**
   * The far kernel says that nobody listens: its daemon is stopped, and the path and the kernel behind it work. It came
   * by the path: our nftables table drops such answers that this host makes itself.
   */
  readonly onRefused: () => void;
}

/** Beside the shared socket of the same address: the kernel prefers the connected one for its own far end. */
export class Inquiry implements Disposable {
  readonly #socket: ReturnType<typeof openProbeSocket>;
  readonly #refused: (error: Error | null) => void;
  #state: 'opening' | 'connected' | 'failed' | 'closed' = 'opening';
  #first: Buffer | undefined;

  constructor({ ends: { local, remote }, onArrival, onRefused }: InquiryOptions) {
    this.#refused = (error) => {
      if (error !== null && 'code' in error && error.code === 'ECONNREFUSED') onRefused();
    };
    this.#socket = openProbeSocket(local, onArrival);
    this.#socket.on('error', (error) => {
      // Any other error is a miss like an answer that stays out.
      if (this.#state === 'opening') this.#state = 'failed';
      this.#refused(error);
    });
    this.#socket.once('connect', () => {
      if (this.#state !== 'opening') return;
      this.#state = 'connected';
      if (this.#first !== undefined) this.send(this.#first);
    });
    this.#socket.bind({ address: local, port: PROBE_PORT, exclusive: true }, () => {
      if (this.#state === 'opening') this.#socket.connect(PROBE_PORT, remote);
    });
  }

  /** False where it cannot be had. While it opens, the last question waits for it. */
  send(bytes: Buffer): boolean {
    if (this.#state === 'opening') this.#first = bytes;
    if (this.#state === 'connected') this.#socket.send(bytes, this.#refused);
    return this.#state === 'opening' || this.#state === 'connected';
  }

  [Symbol.dispose](): void {
    this.#state = 'closed';
    this.#socket.close();
  }
}
