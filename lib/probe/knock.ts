// One doubtful path, asked at a port where nobody listens: the far kernel's refusal shows that the path works.

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { KNOCK_PORT } from '#lib/constants';
import type { Ends } from './seal.ts';

export interface KnockOptions {
  readonly ends: Ends;
  /**
   * The far kernel has refused: the path and the kernel behind it work, whatever its daemon does. It came by the path:
   * our nftables table drops such answers that this host makes itself.
   */
  readonly onRefused: () => void;
}

/** A connected socket: no other hears of a refusal. One that cannot be had is silent. */
export class Knock implements Disposable {
  readonly #socket: Socket;
  readonly #refused: (error: Error | null) => void;
  #state: 'opening' | 'connected' | 'failed' | 'closed' = 'opening';
  #isWaiting = false;

  constructor({ ends: { local, remote }, onRefused }: KnockOptions) {
    this.#refused = (error) => {
      if (error !== null && 'code' in error && error.code === 'ECONNREFUSED') onRefused();
    };
    this.#socket = createSocket({ type: isIP(local) === 4 ? 'udp4' : 'udp6' });
    this.#socket.on('error', (error) => {
      if (this.#state === 'opening') this.#state = 'failed';
      this.#refused(error);
    });
    this.#socket.once('connect', () => {
      if (this.#state !== 'opening') return;
      this.#state = 'connected';
      if (this.#isWaiting) this.knock();
    });
    this.#socket.bind({ address: local }, () => {
      if (this.#state === 'opening') this.#socket.connect(KNOCK_PORT, remote);
    });
  }

  /** While the socket opens, one knock waits for it. */
  knock(): void {
    this.#isWaiting = this.#state === 'opening';
    if (this.#state === 'connected') this.#socket.send(Buffer.alloc(1), this.#refused);
  }

  [Symbol.dispose](): void {
    this.#state = 'closed';
    this.#socket.close();
  }
}
