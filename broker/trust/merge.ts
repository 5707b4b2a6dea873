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
/** Subjects that wait. What is dropped comes again with the next full reading of the stream. */
const MAX_SUBJECTS = 8192;
/** Refusals of records that a later certificate of the same cluster may lift. */
const LIFTED_RECORDS: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  'unknown-member',
  'outside-certificate',
  'bad-signature',
]);
/** Refusals of certificates that a later entry of the directory may lift. */
const LIFTED_CERTIFICATES: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  'overlap',
  'held',
  're-identified',
]);

/** Offers arrivals to a ledger, and offers again what waits when the directory changes. */
export class Merge {
  readonly ledger: Ledger;
  readonly #waiting = new Map<string, readonly Uint8Array[]>();

  constructor(ledger: Ledger) {
    this.ledger = ledger;
  }

  /** What waits for something else to arrive. */
  get waiting(): readonly Arrival[] {
    return [...this.#waiting].flatMap(([subject, kept]) => kept.map((bytes) => ({ subject, bytes })));
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
    const lifted = this.#isDirectory(subject) ? LIFTED_CERTIFICATES : LIFTED_RECORDS;
    const kept = this.#waiting.get(subject) ?? [];
    if (!lifted.has(code) || (kept.length === 0 && this.#waiting.size >= MAX_SUBJECTS)) return false;
    const others = kept.filter((other) => Buffer.compare(other, bytes) !== 0);
    this.#waiting.set(subject, [...others, bytes].slice(-MAX_PER_SUBJECT));
    return true;
  }

  /** Takes out what may be judged otherwise now. */
  #lift(entry: Entry): readonly Arrival[] {
    if (entry.sort === 'record' || this.#waiting.size === 0) return [];
    const { account } = entry.sort === 'certificate' ? entry.certificate : entry.revocation.certificate;
    return [...this.#waiting].flatMap(([subject, kept]) => {
      if (!this.#isDirectory(subject) && !subject.startsWith(`mc.put.${account}.`)) return [];
      this.#waiting.delete(subject);
      return kept.map((bytes) => ({ subject, bytes }));
    });
  }

  #isDirectory(subject: string): boolean {
    return subject.startsWith(`mc.put.${this.ledger.pins.brokerAccount}.`);
  }
}
