// Says what this gateway has to say, and says it again whenever the broker has lost it.
//
// What waits while the broker is away is the newest state of each slot, never a list of changes.

import type { NatsConnection } from '@nats-io/nats-core';
import type { Log } from '#lib/log';
import { isDeepStrictEqual } from 'node:util';
import type { Content } from '../records/kinds.ts';
import { PUT } from '../server/subjects.ts';
import type { HeldRecord, Ledger } from '../trust/ledger.ts';
import { signRecord } from '../trust/record.ts';
import type { Counters } from './counters.ts';
import { readLast } from './direct-get.ts';
import { keepManifest } from './manifest-keeper.ts';
import type { OpenMembership } from './membership.ts';
import { Patience } from './patience.ts';
import { put } from './put.ts';
import type { OwnSlot } from './status.ts';
import { Turns } from './turns.ts';
import { Wake } from './wake.ts';

export interface PublisherOptions {
  readonly membership: OpenMembership;
  readonly ledger: Ledger;
  readonly counters: Counters;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  /** Judges an own record as everybody else will, and keeps it. */
  readonly onSigned: (subject: string, bytes: Uint8Array) => void;
}

/** What is to stand in a slot; without contents, a tombstone. */
export interface Saying {
  readonly slot: string;
  readonly kind: Content['kind'];
  readonly schema: number;
  readonly payload?: unknown;
}

interface Own {
  readonly saying: Saying;
  readonly record: HeldRecord;
  isAcknowledged: boolean;
  /** Times it was put back. */
  reasserted: number;
  /** Times somebody with our key had said something newer. */
  readonly contested: number;
  readonly patience: Patience;
}

/** Milliseconds between two attempts to put a record. */
const FIRST = 600;
const LONGEST = 30_000;
const TICK = 500;
/** Between two looks at whether the broker still holds what it acknowledged. */
const CHECK = 15_000;

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #own = new Map<string, Own>();
  readonly #wake = new Wake();
  /** Reading what a slot holds and signing what follows it are one step. */
  readonly #signing = new Turns();
  #connection: NatsConnection | undefined;
  #checkAt = 0;
  /** Digests of the own records when they were last seen in the manifest; undefined: to be looked at. */
  #listed: string | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  get own(): readonly OwnSlot[] {
    return Array.from(this.#own.values(), ({ record, isAcknowledged, reasserted, contested }) => ({
      slot: record.slot,
      epoch: record.epoch,
      version: record.version,
      acknowledged: isAcknowledged,
      reasserted,
      contested,
    }));
  }

  /** Own live records, as the manifest should list them. */
  get #live(): readonly HeldRecord[] {
    return [...this.#own.values()].flatMap(({ record }) => (record.content === undefined ? [] : [record]));
  }

  /**
   * Signs and queues what stands in a slot from now on. What it said before the restart is said again as it was.
   * @throws {Error} when the disk refuses the counter, or when nobody would accept the record
   */
  say(saying: Saying): Promise<void> {
    return this.#signing.take(async () => {
      const { ledger, membership } = this.#options;
      const held = ledger.record(membership.own.cluster, saying.slot);
      const record = held !== undefined && isSaid(held, saying) ? held : await this.#sign(saying, held);
      const reasserted = this.#own.get(saying.slot)?.reasserted ?? 0;
      const patience = new Patience(FIRST, LONGEST);
      this.#own.set(saying.slot, {
        saying,
        record,
        isAcknowledged: false,
        reasserted,
        contested: 0,
        patience,
      });
      this.#wake.ring();
    });
  }

  /** Everything the stream holds was read: time to see whether it holds ours. */
  inStep(connection: NatsConnection): void {
    this.#connection = connection;
    this.#checkAt = 0;
    for (const own of this.#own.values()) own.patience.reset();
    this.#wake.ring();
  }

  /** Something arrived in a slot of the own cluster. */
  arrived(slot: string, bytes: Uint8Array): void {
    const own = this.#own.get(slot);
    if (own === undefined || Buffer.compare(own.record.bytes, bytes) === 0) return;
    own.isAcknowledged = false;
    own.reasserted += 1;
    this.#wake.ring();
  }

  async run(): Promise<void> {
    const { signal, log } = this.#options;
    while (!signal.aborted) {
      await this.#wake.wait(TICK, signal);
      const connection = this.#connection;
      if (connection === undefined || connection.isClosed() || signal.aborted) continue;
      try {
        await this.#check(connection);
        for (const own of this.#own.values()) await this.#send(connection, own);
        await this.#list(connection);
      } catch (error) {
        log.debug({ error }, 'publishing is tried again');
      }
    }
  }

  /** Asks for each own slot whether the stream still holds what was put there. */
  async #check(connection: NatsConnection): Promise<void> {
    if (performance.now() < this.#checkAt) return;
    for (const own of this.#own.values()) {
      const found = await readLast(connection, this.#subject(own.record.slot));
      const isThere = found !== undefined && Buffer.compare(found.bytes, own.record.bytes) === 0;
      if (!isThere && own.isAcknowledged) own.reasserted += 1;
      own.isAcknowledged = isThere;
      if (found !== undefined && !isThere) this.#options.onSigned(found.subject, found.bytes);
    }
    this.#listed = undefined;
    this.#checkAt = performance.now() + CHECK * (1 + Math.random());
  }

  async #send(connection: NatsConnection, own: Own): Promise<void> {
    if (own.isAcknowledged || !own.patience.isDue(performance.now())) return;
    const current = await this.#outrank(own);
    await put(connection, current.record);
    current.isAcknowledged = true;
    if (current === own) own.patience.reset();
  }

  /**
   * Where somebody with our key has said something newer, says ours anew above it: it was this host before its disk
   * went back, or another host with our ordinal. The patience stays, so that two such hosts do not race.
   */
  #outrank(before: Own): Promise<Own> {
    return this.#signing.take(async () => {
      const { ledger, membership } = this.#options;
      const own = this.#own.get(before.record.slot) ?? before;
      const held = ledger.record(membership.own.cluster, own.record.slot);
      if (held === undefined || held.digest === own.record.digest) return own;
      const record = await this.#sign(own.saying, held);
      const current = { ...own, record, contested: own.contested + 1 };
      this.#own.set(record.slot, current);
      return current;
    });
  }

  /** Once everything stands where it should: is it listed as well? */
  async #list(connection: NatsConnection): Promise<void> {
    const listed = this.#live.map(({ digest }) => digest).join();
    const isSettled = this.own.every(({ acknowledged }) => acknowledged);
    if (this.#own.size === 0 || !isSettled || listed === this.#listed) return;
    await keepManifest(connection, this.#options, { slots: new Set(this.#own.keys()), live: this.#live });
    this.#listed = listed;
  }

  async #sign(saying: Saying, held: HeldRecord | undefined): Promise<HeldRecord> {
    const { counters, ledger, membership, now, onSigned } = this.#options;
    const { pinned, own, identity } = membership;
    const counter = await counters.next(saying.slot, held);
    const { slot, kind, schema, payload } = saying;
    const content = payload === undefined ? {} : { content: payload };
    const place = { clusterset: pinned.clusterset, cluster: own.cluster, account: own.account };
    const bytes = signRecord({ ...place, slot, kind, schema, ...counter, ...content }, identity, now());
    onSigned(this.#subject(slot), bytes);
    const record = ledger.record(own.cluster, slot);
    if (record?.bytes === bytes) return record;
    throw new Error(
      `Cannot publish "${slot}" of "${own.cluster}": the record is not one that others would accept`,
    );
  }

  #subject(slot: string): string {
    return `${PUT}.${this.#options.membership.own.account}.${slot}`;
  }
}

function isSaid({ content }: HeldRecord, { payload }: Saying): boolean {
  if (content === undefined || payload === undefined) return content === undefined && payload === undefined;
  return isDeepStrictEqual(content.kind === 'gateway' ? content.gateway : content.manifest, payload);
}
