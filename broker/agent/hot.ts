// The hot path: signed records that must not wait for the stream, passed on to every member as they came.

import type { Account } from '../trust/header.ts';
import { openRecord } from '../trust/record.ts';
import { refuse } from '../trust/refusal.ts';
import { EVENT } from '../server/subjects.ts';

/** Slots as members name them; anything else in a subject could be a wildcard or another's name. */
const SLOT = /^[a-z]+(\.[0-9]+)?$/;
/** Messages that one member may send in one second: a fan-out to a thousand members costs the server 15 ms of CPU. */
const PER_SECOND = 16;

/** Counts what each account sends, a second at a time. */
export class HotPath {
  #second = 0;
  readonly #sent = new Map<Account, number>();

  /**
   * Where to publish the record. Readers verify it as if it had come through the stream.
   * @throws {Refused} `malformed`, `wrong-account`, or `oversized` when the member sends too many
   */
  subjectFor(account: Account, bytes: Uint8Array, now: Date): string {
    const second = Math.floor(now.getTime() / 1000);
    if (second !== this.#second) this.#sent.clear();
    this.#second = second;
    const sent = (this.#sent.get(account) ?? 0) + 1;
    this.#sent.set(account, sent);
    if (sent > PER_SECOND) refuse('oversized', `more than ${PER_SECOND} messages in a second`);
    const { header } = openRecord(bytes);
    if (header.account !== account) refuse('wrong-account', 'it names another account');
    if (!SLOT.test(header.slot)) refuse('malformed', 'it names no slot');
    return `${EVENT}.${account}.${header.slot}`;
  }
}
