// What was refused: counted for metrics, and kept while it stands for operators.

import type { Log } from '#lib/log';
import type { Outcome } from '../trust/merge.ts';
import type { RefusalCode } from '../trust/refusal.ts';
import { ALARM_CODES } from '../trust/refusal.ts';
import type { StandingRefusal } from './status.ts';

/** Refusals besides the alarms that stand until something acceptable takes their place. */
const STANDING: ReadonlySet<RefusalCode> = new Set<RefusalCode>(['malformed', 'oversized', 'unknown-schema']);
/** Subjects remembered: an honest stream has far fewer that are refused. */
const MAX_STANDING = 1024;

export class Refusals {
  readonly #log: Log;
  readonly #counts = new Map<RefusalCode, number>();
  readonly #standing = new Map<string, StandingRefusal>();
  #accepted = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  get accepted(): number {
    return this.#accepted;
  }

  get counts(): Readonly<Partial<Record<RefusalCode, number>>> {
    return Object.fromEntries(this.#counts);
  }

  get standing(): readonly StandingRefusal[] {
    return [...this.#standing.values()];
  }

  note({ subject, verdict }: Outcome): void {
    if (verdict.outcome === 'accepted') this.#accepted += 1;
    if (verdict.outcome === 'refused') this.#refused({ subject, code: verdict.code, reason: verdict.reason });
    else this.#standing.delete(subject);
  }

  #refused(refusal: StandingRefusal): void {
    const { subject, code, reason } = refusal;
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
    if (!ALARM_CODES.has(code) && !STANDING.has(code)) return;
    const isNew = this.#standing.get(subject)?.reason !== reason;
    if (isNew) this.#log.warn({ subject, code, reason }, 'what the broker says is refused');
    if (this.#standing.size < MAX_STANDING || !isNew) this.#standing.set(subject, refusal);
  }
}
