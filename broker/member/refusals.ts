// What was refused: counted for metrics, and kept while it stands for operators.
//
// A standing refusal stays for a while after something acceptable has taken its place: its owner puts that back within
// milliseconds, and an operator should hear of it all the same. It keeps its first reason, so that whoever causes it
// cannot fill the logs of all others by finding ever new ones.

import type { Log } from '#lib/log';
import type { Outcome } from '../trust/merge.ts';
import type { RefusalCode } from '../trust/refusal.ts';
import { ALARM_CODES } from '../trust/refusal.ts';
import type { StandingRefusal } from './status.ts';

/** Refusals besides the alarms that stand until something acceptable takes their place. */
const STANDING: ReadonlySet<RefusalCode> = new Set<RefusalCode>(['malformed', 'oversized', 'unknown-schema']);
/** Milliseconds that a refusal stands at least. */
const STANDS = 60_000;
/** Subjects remembered: an honest stream has far fewer that are refused. */
const MAX_STANDING = 1024;

interface Standing {
  readonly refusal: StandingRefusal;
  readonly since: number;
  /** What waits for something else to arrive, and was no fault at all if that does. */
  readonly waiting: Uint8Array | undefined;
  /** Something acceptable has taken its place. */
  isMended: boolean;
}

export class Refusals {
  readonly #log: Log;
  readonly #now: () => number;
  readonly #counts = new Map<RefusalCode, number>();
  readonly #standing = new Map<string, Standing>();
  #accepted = 0;

  /** @param now milliseconds on a monotonic clock */
  constructor(log: Log, now = (): number => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  get accepted(): number {
    return this.#accepted;
  }

  get counts(): Readonly<Partial<Record<RefusalCode, number>>> {
    return Object.fromEntries(this.#counts);
  }

  get standing(): readonly StandingRefusal[] {
    const now = this.#now();
    for (const [subject, { isMended, since }] of this.#standing) {
      if (isMended && now - since >= STANDS) this.#standing.delete(subject);
    }
    return Array.from(this.#standing.values(), ({ refusal }) => refusal);
  }

  note(outcome: Outcome): void {
    const { subject, bytes, verdict } = outcome;
    if (verdict.outcome === 'refused') {
      this.#refused(outcome, { subject, code: verdict.code, reason: verdict.reason });
      return;
    }
    if (verdict.outcome === 'accepted') this.#accepted += 1;
    const standing = this.#standing.get(subject);
    if (standing === undefined) return;
    standing.isMended = true;
    if (standing.waiting !== undefined && Buffer.compare(standing.waiting, bytes) === 0) {
      this.#standing.delete(subject);
    }
  }

  #refused({ bytes, waits }: Outcome, refusal: StandingRefusal): void {
    const { subject, code } = refusal;
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
    if (!ALARM_CODES.has(code) && !STANDING.has(code)) return;
    const standing = this.#standing.get(subject);
    if (standing !== undefined) standing.isMended = false;
    if (standing !== undefined || this.#standing.size >= MAX_STANDING) return;
    this.#log.debug({ ...refusal }, 'what the broker says is refused');
    const waiting = waits ? bytes : undefined;
    this.#standing.set(subject, { refusal, since: this.#now(), waiting, isMended: false });
  }
}
