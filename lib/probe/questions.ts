// Asks that are out, by the nonce that only their answers repeat.

import type { Peer, Way } from './peer.ts';

/** What is asked, and so what its answer proves. */
export type Question = {
  /** The caller's number for it, which stays here: the answer is handed on with its question. */
  readonly sequence: number;
} &
  /** The path lives. As short as can be; on a link with room for the answer's bitmap. `isNews`: answers tell something new. */
  (
    | { readonly kind: 'small'; readonly isNews?: true }
    /** The path carries IP packets of this many bytes. Never more than its device's MTU: the kernel would cut them. */
    | { readonly kind: 'full'; readonly size: number }
    /** The far gateway forwards to this fabric address of a worker behind it. */
    | { readonly kind: 'transit'; readonly to: string }
  );

export interface Asked<Id> {
  readonly peer: Peer<Id>;
  readonly question: Question;
  readonly sequence: number;
  /** Bytes of the ask. */
  readonly length: number;
  /** By which it went: to the far end, or to somebody behind it. */
  readonly way: Way;
  /** Of transit asks: their responders return it as it is. */
  readonly seal: Buffer | undefined;
  /** Monotonic milliseconds. */
  readonly at: number;
}

/** Milliseconds after which an answer is of no use: longer than any path's patience, so that a late answer is told from none. */
const KEEP_MS = 5000;

export class Questions<Id> {
  /** In the order in which they were asked. */
  readonly #asked = new Map<bigint, Asked<Id>>();

  add(nonce: bigint, asked: Asked<Id>): void {
    for (const [old, { at }] of this.#asked) {
      if (at > asked.at - KEEP_MS) break;
      this.#asked.delete(old);
    }
    this.#asked.set(nonce, asked);
  }

  get(nonce: bigint): Asked<Id> | undefined {
    return this.#asked.get(nonce);
  }

  /** It is answered: a second answer is nobody's. */
  close(nonce: bigint): void {
    this.#asked.delete(nonce);
  }
}
