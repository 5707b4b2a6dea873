// One silent tunnel, asked by a connected socket: it alone hears that a far kernel refuses.

import { PROBE_PORT } from '#lib/constants';
import type { OnAnswer } from './responder.ts';
import { openProbeSocket } from './responder.ts';
import { encodeProbe } from './probe-message.ts';

export interface InquiryOptions {
  /** Fabric addresses of both ends. */
  readonly local: string;
  readonly remote: string;
  readonly onAnswer: OnAnswer;
  /**
   * The far kernel says that nobody listens: its daemon is stopped, and the tunnel and the kernel behind it work. It came
   * through the tunnel: our nftables table drops such answers that this host makes itself.
   */
  readonly onRefused: () => void;
}

/** Beside the shared socket of the same address: the kernel prefers the connected one for its own far end. */
export class Inquiry implements Disposable {
  readonly #socket: ReturnType<typeof openProbeSocket>;
  readonly #refused: (error: Error | null) => void;
  #state: 'opening' | 'connected' | 'closed' = 'opening';
  #first: bigint | undefined;

  constructor({ local, remote, onAnswer, onRefused }: InquiryOptions) {
    this.#refused = (error) => {
      if (error !== null && 'code' in error && error.code === 'ECONNREFUSED') onRefused();
    };
    this.#socket = openProbeSocket(local, onAnswer);
    // Any other error is a miss like an answer that stays out.
    this.#socket.on('error', this.#refused);
    this.#socket.once('connect', () => {
      this.#state = 'connected';
      if (this.#first !== undefined) this.ask(this.#first);
    });
    this.#socket.bind({ address: local, port: PROBE_PORT, exclusive: true }, () => {
      if (this.#state === 'opening') this.#socket.connect(PROBE_PORT, remote);
    });
  }

  /** False while the socket is not there yet, or cannot be had: the question goes out once it is. */
  ask(nonce: bigint): boolean {
    this.#first = nonce;
    if (this.#state !== 'connected') return false;
    this.#socket.send(encodeProbe({ kind: 'ask', nonce }), this.#refused);
    return true;
  }

  [Symbol.dispose](): void {
    this.#state = 'closed';
    this.#socket.close();
  }
}
