// The conditions that hold on a host: each is logged when it comes and when it goes, and not in between.

import { CONDITIONS, compareConditions } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import type { Log } from '#lib/log';
import type { Metrics } from '#lib/metrics';

const LEVEL = { error: 'error', warning: 'warn', info: 'info' } as const;

/** What holds now, by whoever reports it. */
export class Conditions {
  readonly #log: Log;
  readonly #held = new Map<string, readonly Condition[]>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Replaces what `source` reports. */
  set(source: string, conditions: readonly Condition[]): void {
    const before = new Map((this.#held.get(source) ?? []).map((each) => [keyOf(each), each]));
    for (const each of conditions) {
      const { code, about, text } = each;
      if (before.get(keyOf(each))?.text !== text)
        this.#log[LEVEL[CONDITIONS[code].severity]]({ condition: code, about }, text);
      before.delete(keyOf(each));
    }
    for (const { code, about } of before.values()) {
      this.#log.info({ condition: code, about }, `No longer: ${CONDITIONS[code].title}`);
    }
    this.#held.set(source, conditions);
  }

  /** Errors first. */
  all(): readonly Condition[] {
    return [...this.#held.values()].flat().toSorted(compareConditions);
  }
}

/** As `isthmus_condition`: how many hold of each code, with its severity. */
export function exposeConditions(conditions: Conditions, metrics: Metrics): void {
  metrics.gauge('isthmus_condition', 'Conditions that hold', ['code', 'severity'], (gauge) => {
    for (const { code } of conditions.all()) gauge.inc({ code, severity: CONDITIONS[code].severity });
  });
}

function keyOf({ code, about }: Condition): string {
  return `${code} ${about}`;
}
