// What is refused only because something else has not arrived yet, kept until it has.
//
// Directory and records travel independently: a record may come before its certificate, a certificate before the
// departure that makes room for it. With this, the order of arrival does not matter.

import type { Verdict } from './admission.ts';
import { admit } from './admission.ts';
import type { Entry, Ledger } from './ledger.ts';
import type { RefusalCode } from './refusal.ts';

/** Something that stood under a subject. */
export interface Arrival {
  readonly subject: string;
  readonly bytes: Uint8Array;
}

/** One arrival and what became of it. */
export interface Outcome extends Arrival {
  readonly verdict: Verdict;
  /** Refused for now: it is judged again when what it waits for has arrived. */
  readonly waits: boolean;
}

/** Arrivals waiting under one subject: nobody vouches for their order, so several are kept. */
const MAX_PER_SUBJECT = 8;
/** Bytes that wait for one account: the records of eight gateways in two versions. The directory's are the clusterset's own. */
const MAX_BYTES = { record: 128 * 1024, directory: 4 * 1024 * 1024 } as const;
/** Accounts that wait. What is dropped comes again with the next full reading of the stream. */
const MAX_ACCOUNTS = 1024;
/**
 * Refusals of records that a later certificate of the same cluster may lift. A bad signature is none of them: an account
 * belongs to one identity key, so another certificate of it has the same.
 */
const LIFTED_RECORDS: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  'unknown-member',
  'outside-certificate',
]);
/** Refusals of certificates that a later entry of the directory may lift. */
const LIFTED_CERTIFICATES: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  'overlap',
  'held',
  're-identified',
]);

/** What waits under the subjects of one account, oldest first. */
type Waiting = ReadonlyMap<string, readonly Uint8Array[]>;

/** Offers arrivals to a ledger, and offers again what waits when the directory changes. */
export class Merge {
  readonly ledger: Ledger;
  readonly #waiting = new Map<string, Waiting>();

  constructor(ledger: Ledger) {
    this.ledger = ledger;
  }

  /** What waits for something else to arrive. */
  get waiting(): readonly Arrival[] {
    return [...this.#waiting.values()].flatMap(arrivalsOf);
  }

  /** Judges and applies one arrival. The first outcome is its own; others are of arrivals that waited for it. */
  offer(subject: string, bytes: Uint8Array): readonly Outcome[] {
    const outcomes: Outcome[] = [];
    const queue: Arrival[] = [{ subject, bytes }];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const verdict = admit(this.ledger, next.subject, next.bytes);
      const waits = verdict.outcome === 'refused' && this.#keep(next, verdict.code);
      outcomes.push({ ...next, verdict, waits });
      if (verdict.outcome === 'accepted') {
        this.ledger.apply(verdict.entry);
        queue.push(...this.#lift(verdict.entry));
      }
    }
    return outcomes;
  }

  #keep({ subject, bytes }: Arrival, code: RefusalCode): boolean {
    const account = accountIn(subject);
    const isDirectory = account === this.ledger.pins.brokerAccount;
    const lifted = isDirectory ? LIFTED_CERTIFICATES : LIFTED_RECORDS;
    const before: Waiting = this.#waiting.get(account) ?? new Map();
    if (!lifted.has(code) || (before.size === 0 && this.#waiting.size >= MAX_ACCOUNTS)) return false;
    const others = (before.get(subject) ?? []).filter((other) => Buffer.compare(other, bytes) !== 0);
    const after = new Map(before).set(subject, [...others, bytes].slice(-MAX_PER_SUBJECT));
    if (bytesOf(after) > MAX_BYTES[isDirectory ? 'directory' : 'record']) return false;
    this.#waiting.set(account, after);
    return true;
  }

  /** Takes out what may be judged otherwise now. */
  #lift(entry: Entry): readonly Arrival[] {
    if (entry.sort === 'record' || this.#waiting.size === 0) return [];
    const { account } = entry.sort === 'certificate' ? entry.certificate : entry.revocation.certificate;
    return [this.ledger.pins.brokerAccount, account].flatMap((each) => {
      const waiting = this.#waiting.get(each);
      this.#waiting.delete(each);
      return waiting === undefined ? [] : arrivalsOf(waiting);
    });
  }
}

function arrivalsOf(waiting: Waiting): readonly Arrival[] {
  return [...waiting].flatMap(([subject, kept]) => kept.map((bytes) => ({ subject, bytes })));
}

function bytesOf(waiting: Waiting): number {
  return [...waiting.values()].flat().reduce((sum, { length }) => sum + length, 0);
}

/** `mc.put.<account>.<slot>` */
function accountIn(subject: string): string {
  return subject.split('.', 3)[2] ?? '';
}
