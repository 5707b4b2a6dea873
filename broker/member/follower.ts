// Follows the stream: reads what it missed, takes what arrives, and notices when either is not all there is.

import type { Msg, NatsConnection, Subscription } from '@nats-io/nats-core';
import type { Log } from '#lib/log';
import { openBeacon } from '../records/beacon.ts';
import { BEACON, EVENT, PUT, UPDATE } from '../server/subjects.ts';
import type { Root } from '../trust/authority.ts';
import { Refused } from '../trust/refusal.ts';
import type { Ledger } from '../trust/ledger.ts';
import { BeaconWatch } from './beacon-watch.ts';
import type { CursorState } from './cursor.ts';
import { Cursor } from './cursor.ts';
import { readFrom, readLast, sequenceOf } from './direct-get.ts';
import { Patience } from './patience.ts';
import type { DirectoryEntries } from './returner.ts';
import { pause, Wake } from './wake.ts';
import { withheldSubjects } from './withheld.ts';

export interface FollowerOptions {
  readonly root: Root;
  readonly ledger: Ledger;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly cursor: CursorState | undefined;
  /** Something arrived under `mc.put.…`; the bytes are the caller's to keep. */
  readonly onArrival: (subject: string, bytes: Uint8Array) => void;
  /**
   * All that the stream holds has been offered: after every connection, and after every repair. Where the stream was
   * read from its beginning, `directory` is all that it holds of the directory.
   */
  readonly onInStep: (connection: NatsConnection, directory?: DirectoryEntries) => void;
}

/** Milliseconds. */
const TICK = 500;
const RETRY = 500;
const ANSWER = 1000;
/** Withheld slots asked for in one round. */
const ASKED_AT_ONCE = 16;

export class Follower {
  readonly #options: FollowerOptions;
  readonly #cursor: Cursor;
  readonly #beacons = new BeaconWatch();
  readonly #wake = new Wake();
  #connection: NatsConnection | undefined;
  #isUp = false;
  /** Between two rounds of asking for withheld slots. */
  readonly #asking = new Patience(1000, 60_000);
  #asked = 0;
  #resyncs = 0;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#cursor = new Cursor(options.cursor);
  }

  get cursor(): CursorState {
    return this.#cursor.state;
  }

  get isInStep(): boolean {
    return this.#isUp && !this.#cursor.isBehind;
  }

  get gaps(): number {
    return this.#cursor.gaps;
  }

  /** Readings of the whole stream. */
  get resyncs(): number {
    return this.#resyncs;
  }

  /** What the membership agent was last heard to say. */
  get beacons(): Pick<BeaconWatch, 'age' | 'disagreement'> {
    return this.#beacons;
  }

  /** A connection, new or come back. The client itself renews subscriptions of one that came back. */
  connected(connection: NatsConnection): void {
    if (connection !== this.#connection) this.#subscribe(connection);
    this.#connection = connection;
    this.#isUp = true;
    this.#cursor.disconnected();
    this.#wake.ring();
  }

  disconnected(): void {
    this.#isUp = false;
    this.#cursor.disconnected();
  }

  /** Runs until the signal. Each round does what is due and nothing else. */
  async run(): Promise<void> {
    const { signal, log } = this.#options;
    while (!signal.aborted) {
      await this.#wake.wait(TICK, signal);
      const connection = this.#connection;
      if (connection === undefined || !this.#isUp || signal.aborted) continue;
      try {
        this.#suspect();
        await (this.#cursor.isBehind ? this.#read(connection) : this.#askWithheld(connection));
      } catch (error) {
        log.debug({ error }, 'reading the stream is tried again');
        await pause(RETRY, signal);
      }
    }
  }

  #subscribe(connection: NatsConnection): void {
    const take = (prefix: string): Subscription =>
      connection.subscribe(`${prefix}.>`, {
        callback: (error, message) => {
          if (error === null) this.#takeSafely(prefix, message);
        },
      });
    take(UPDATE);
    take(EVENT);
  }

  /** An exception here would end the client's reading loop: one message must not cost the connection. */
  #takeSafely(prefix: string, message: Msg): void {
    try {
      this.#take(prefix, message);
    } catch (error) {
      this.#options.log.error({ error, subject: message.subject }, 'an arrival could not be judged');
    }
  }

  #take(prefix: string, message: Msg): void {
    if (message.subject === BEACON) {
      this.#hear(message);
      return;
    }
    // A copy: the client hands out windows into its read buffer, and what is kept must not keep that alive.
    this.#options.onArrival(`${PUT}${message.subject.slice(prefix.length)}`, Uint8Array.from(message.data));
    if (prefix === UPDATE) this.#cursor.update(sequenceOf(message));
    if (this.#cursor.isBehind) this.#wake.ring();
  }

  #hear(message: Msg): void {
    try {
      const beacon = openBeacon(this.#options.root, message.data);
      if (!this.#beacons.hear(beacon)) return;
      this.#cursor.identify(beacon);
      if (this.#cursor.isBehind) this.#wake.ring();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#options.log.warn({ code: error.code, reason: error.message }, 'a beacon was refused');
    }
  }

  /** Reads from the cursor on. What arrives meanwhile is judged as it comes: order does not matter. */
  async #read(connection: NatsConnection): Promise<void> {
    // The server has our subscriptions once it has answered: nothing falls between them and the reading.
    await answered(connection.flush());
    const start = this.#cursor.start;
    if (start === 1) this.#resyncs += 1;
    const directory = new Map<string, Uint8Array>();
    const isEntry = `${PUT}.${this.#options.ledger.pins.brokerAccount}.`;
    let last = start - 1;
    for await (const { subject, sequence, bytes } of readFrom(connection, start)) {
      this.#options.onArrival(subject, bytes);
      if (subject.startsWith(isEntry)) directory.set(subject, bytes);
      last = Math.max(last, sequence);
    }
    this.#cursor.caughtUp(start, last);
    if (this.#cursor.isBehind) this.#wake.ring();
    else this.#options.onInStep(connection, start === 1 ? directory : undefined);
  }

  /** Looks for signs that something is missing that no gap has shown. */
  #suspect(): void {
    if (this.#cursor.isBehind) return;
    const { sequence } = this.#cursor.state;
    const advice = this.#beacons.advice({ sequence, directory: this.#options.ledger.directoryDigest() });
    if (advice === 'read on') this.#cursor.fallBehind();
    if (advice === 'read all') this.#cursor.lose();
  }

  /** Asks by name for what owners list and the stream did not show. */
  async #askWithheld(connection: NatsConnection): Promise<void> {
    const withheld = withheldSubjects(this.#options.ledger);
    if (withheld.length === 0) this.#asking.reset();
    else if (this.#asking.isDue(performance.now())) {
      // Not always the same ones first: one member's long list must not keep the others' from being asked for.
      const from = (this.#asked += ASKED_AT_ONCE) % withheld.length;
      for (const subject of [...withheld.slice(from), ...withheld].slice(0, ASKED_AT_ONCE)) {
        const found = await readLast(connection, subject);
        if (found !== undefined) this.#options.onArrival(subject, found.bytes);
      }
    }
  }
}

/** Fails when the server does not answer in time: the client itself would wait for ever. */
async function answered(answer: Promise<void>): Promise<void> {
  const late = new AbortController();
  const isAnswered = await Promise.race([answer.then(() => true), pause(ANSWER, late.signal)]);
  late.abort();
  if (isAnswered !== true) throw new Error('Cannot read the stream: the broker does not answer');
}
