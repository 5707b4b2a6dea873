// Gives back to the broker what its directory has lost: a broker put back from an old copy learns from its members who joined and who was cut off since.
//
// Nothing here is the member's own word. What it returns was signed by the clusterset, and the agent judges it like
// anything else; so it does not matter which of the members returns it, nor whether several do.

import type { NatsConnection } from '@nats-io/nats-core';
import type { Log } from '#lib/log';
import { LOCAL } from '../server/subjects.ts';
import { FOREVER, pause, Wake } from './wake.ts';

/** What stands in the directory, by subject. */
export type DirectoryEntries = ReadonlyMap<string, Uint8Array>;

export interface ReturnerOptions {
  /** The directory as it is believed, ends of membership first: they make room for who came after. */
  readonly believed: () => Iterable<readonly [subject: string, bytes: Uint8Array]>;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** Milliseconds. All members read the whole stream at the same time; whoever is first spares the others the work. */
const SPREAD = 2000;
/** Between two entries: the agent takes sixteen messages a second from one member. */
const PACE = 100;
const TIMEOUT = 2000;

export class Returner {
  readonly #options: ReturnerOptions;
  readonly #wake = new Wake();
  #lost = new Map<string, Uint8Array>();
  #connection: NatsConnection | undefined;

  constructor(options: ReturnerOptions) {
    this.#options = options;
  }

  /** The whole stream was read: this is all that the broker's directory holds. */
  read(connection: NatsConnection, found: DirectoryEntries): void {
    const lost = [...this.#options.believed()].filter(
      ([subject, bytes]) => !isSame(found.get(subject), bytes),
    );
    this.#connection = connection;
    this.#lost = new Map(lost);
    if (lost.length > 0) this.#wake.ring();
  }

  /** The broker has it again, from whomever. */
  arrived(subject: string, bytes: Uint8Array): void {
    if (isSame(this.#lost.get(subject), bytes)) this.#lost.delete(subject);
  }

  async run(): Promise<void> {
    const { signal, log, random = Math.random } = this.#options;
    while (!signal.aborted) {
      await this.#wake.wait(FOREVER, signal);
      await pause(random() * SPREAD, signal);
      const connection = this.#connection;
      if (connection === undefined || signal.aborted) continue;
      if (this.#lost.size > 0) {
        log.warn({ entries: this.#lost.size }, 'the broker has lost part of its directory; it is given back');
      }
      while (this.#lost.size > 0 && !connection.isClosed() && !signal.aborted) await this.#next(connection);
    }
  }

  /** One entry. What is refused or not answered is tried again when the whole stream has been read again. */
  async #next(connection: NatsConnection): Promise<void> {
    const { log, signal } = this.#options;
    const [[subject, bytes] = ['', undefined]] = this.#lost;
    this.#lost.delete(subject);
    if (bytes === undefined) return;
    try {
      await connection.request(LOCAL.hot, bytes, { timeout: TIMEOUT });
    } catch (error) {
      log.debug({ error, subject }, 'the broker does not take an entry back');
    }
    await pause(PACE, signal);
  }
}

function isSame(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}
