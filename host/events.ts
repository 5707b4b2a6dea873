// Says what has become of paths: in the log, and in the metrics.

import { describeChange } from '#lib/health';
import type { Change } from '#lib/health';
import type { Log } from '#lib/log';
import type { Counter, Histogram, Metrics } from '#lib/metrics';

export interface EventsOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Monotonic milliseconds of a path's last answer. */
  readonly answeredAt: (path: string) => number | undefined;
}

/** Upper bounds in seconds: the promise is half of one. */
const SECONDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 5, 10];

/** Verdicts wait here until the kernel has them: nobody is told before packets go another way. */
export class Events {
  readonly #options: EventsOptions;
  readonly #changes: Counter<'to' | 'reason'>;
  readonly #seconds: Histogram;
  #untold: Change[] = [];

  constructor(options: EventsOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#changes = metrics.counter(
      'isthmus_path_changes_total',
      'Changes of paths and of far gateways, by what they came to and why',
      ['to', 'reason'],
    );
    this.#seconds = metrics.histogram(
      'isthmus_failover_seconds',
      'From the last answer of a path that is left until the kernel sends by others',
      SECONDS,
    );
  }

  add(changes: readonly Change[]): void {
    this.#untold.push(...changes);
  }

  /** The kernel has what they led to. `now` is on the clock of the changes. */
  tell(now: number): void {
    const changes = this.#untold;
    this.#untold = [];
    for (const change of changes) {
      const { path, to, reason } = change;
      this.#options.log.info({ path, to }, describeChange(change));
      const kind = typeof reason === 'string' ? reason : reason.kind;
      this.#changes.inc({ to: change.what === 'mtu' ? 'size' : String(to), reason: kind });
      const answeredAt = this.#options.answeredAt(path);
      if (change.what === 'state' && change.from === 'up' && answeredAt !== undefined) {
        this.#seconds.observe((now - answeredAt) / 1000);
      }
    }
  }
}
