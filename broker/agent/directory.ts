// The directory in the stream: put right from the broker's own disk, and quick to say what changed.

import type { NatsConnection } from '@nats-io/nats-core';
import type { Log } from '#lib/log';
import { isClusterId } from '#lib/names';
import type { ClusterId } from '#lib/names';
import { directoryDigest } from '../trust/ledger.ts';
import type { Keys } from '../server/data-directory.ts';
import { directorySubject, EVENT, PUT } from '../server/subjects.ts';
import type { Roster } from './roster.ts';
import type { Stream } from './stream.ts';

/** Ended members' records stay this long, so that followers which were away see why they end. */
const KEEP_ENDED_MS = 7 * 24 * 3600 * 1000;
/** Requests under way at a time. */
const AT_ONCE = 32;

export interface DirectoryOptions {
  readonly connection: NatsConnection;
  readonly stream: Stream;
  readonly roster: Roster;
  readonly keys: Keys;
  readonly log: Log;
  readonly now: () => Date;
}

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #prefix: string;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#prefix = `${PUT}.${options.keys.broker.publicKey}`;
  }

  /** What every follower should find, for the beacon. */
  get digest(): string {
    const { ledger } = this.#options.roster;
    const ends = ledger.ends.map((end) => [end.certificate.cluster, end.digest] as const);
    const members = [...ledger.members].map(([cluster, { digest }]) => [cluster, digest] as const);
    return directoryDigest([...ends, ...members]);
  }

  /** Says what now stands under a cluster id: at once to whoever listens, and into the stream. */
  async publish(cluster: ClusterId): Promise<void> {
    const { connection, stream } = this.#options;
    const wanted = [...this.#wanted()].filter(([, entry]) => entry.cluster === cluster);
    for (const [subject, { bytes }] of wanted)
      connection.publish(`${EVENT}${subject.slice(PUT.length)}`, bytes);
    for (const [subject, { bytes }] of wanted) await stream.put(subject, bytes);
  }

  /**
   * Makes the stream's directory say what our disk says. Something newer than our disk that the root or the membership
   * key signed is taken over instead: then it is our disk that was put back from an old copy.
   */
  async assert(): Promise<readonly ClusterId[]> {
    const { stream, log } = this.#options;
    const adopted = await this.#adopt(await stream.subjects(`${this.#prefix}.dir.*`));
    const wanted = [...this.#wanted()];
    let repaired = 0;
    for (let at = 0; at < wanted.length; at += AT_ONCE) {
      const some = wanted.slice(at, at + AT_ONCE);
      const fixed = await Promise.all(some.map(([subject, { bytes }]) => this.#repair(subject, bytes)));
      repaired += fixed.filter(Boolean).length;
    }
    if (repaired > 0) log.info({ repaired }, 'Put entries of the directory back');
    return adopted;
  }

  /** Removes the records of memberships that ended long ago. */
  async collect(): Promise<void> {
    const { roster, stream, now } = this.#options;
    const before = now().getTime() - KEEP_ENDED_MS;
    const accounts = roster.ended
      .filter(({ at }) => at.getTime() < before)
      .map(({ certificate }) => certificate.account);
    for (const account of new Set(accounts)) await stream.purge(`${PUT}.${account}.>`);
  }

  *#wanted(): Iterable<readonly [string, { readonly cluster: ClusterId; readonly bytes: Uint8Array }]> {
    const { roster } = this.#options;
    for (const { certificate, bytes } of roster.ledger.ends) {
      yield [`${this.#prefix}.end.${certificate.account}`, { cluster: certificate.cluster, bytes }];
    }
    for (const { cluster, subject, bytes } of roster.directory) yield [subject, { cluster, bytes }];
  }

  async #repair(subject: string, bytes: Uint8Array): Promise<boolean> {
    const { stream } = this.#options;
    const found = await stream.last(subject);
    if (found !== undefined && Buffer.compare(found, bytes) === 0) return false;
    await stream.put(subject, bytes);
    return true;
  }

  async #adopt(subjects: readonly string[]): Promise<readonly ClusterId[]> {
    const { roster, stream, keys, log, now } = this.#options;
    const adopted: ClusterId[] = [];
    for (const subject of subjects) {
      const cluster = subject.slice(directorySubject(keys.broker.publicKey, '').length);
      const bytes = isClusterId(cluster) ? await stream.last(subject) : undefined;
      if (bytes === undefined || !isClusterId(cluster)) continue;
      const verdict = await roster.record(cluster, bytes, now());
      if (verdict.outcome !== 'accepted') continue;
      log.warn(
        { cluster },
        'The stream knew something newer of a cluster than the data directory: taken over',
      );
      adopted.push(cluster);
    }
    return adopted;
  }
}
