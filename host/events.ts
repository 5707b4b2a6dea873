// Says what paths are and what has become of them: in the log, and in the metrics.

import { describeChange } from '#lib/health';
import type { Change, PathReport } from '#lib/health';
import type { Log } from '#lib/log';
import type { Counter, Histogram, Metrics } from '#lib/metrics';

export interface EventsOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly paths: {
    /** Monotonic milliseconds of a path's last answer. */
    answeredAt(path: string): number | undefined;
    reports(): Iterable<PathReport>;
  };
}

/** Upper bounds in seconds: the promise is half of one. */
const SECONDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 5, 10];

/** Changes that wait at most: a host whose kernel takes no plan may see paths come and go for days. */
const MOST = 1000;

/** Verdicts wait here until the kernel has them: nobody is told before packets go another way. */
export class Events {
  readonly #options: EventsOptions;
  readonly #changes: Counter<'to' | 'reason'>;
  readonly #seconds: Histogram;
  /** Since the last plan began. */
  #new: Change[] = [];
  /** What the plan knows of that is on its way to the kernel. */
  #planned: Change[] = [];

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
    measurePaths(options);
  }

  add(changes: readonly Change[]): void {
    this.#new = [...this.#new, ...changes].slice(-MOST);
  }

  /** A plan begins from what is known now. What is added later waits for the next one. */
  heed(): void {
    this.#planned = [...this.#planned, ...this.#new].slice(-MOST);
    this.#new = [];
  }

  /** The kernel has the plan. `now` is on the clock of the changes. */
  tell(now: number): void {
    const changes = this.#planned;
    this.#planned = [];
    for (const change of changes) {
      const { path, to, reason } = change;
      this.#options.log.info({ path, to }, describeChange(change));
      const kind = typeof reason === 'string' ? reason : reason.kind;
      this.#changes.inc({ to: change.what === 'mtu' ? 'size' : String(to), reason: kind });
      const answeredAt = this.#options.paths.answeredAt(path);
      if (change.what === 'state' && change.from === 'up' && answeredAt !== undefined) {
        this.#seconds.observe((now - answeredAt) / 1000);
      }
    }
  }
}

function measurePaths({ metrics, paths }: EventsOptions): void {
  const each = (name: string, help: string, value: (path: PathReport) => number | undefined): void => {
    metrics.gauge(name, help, ['path'], (gauge) => {
      for (const report of paths.reports()) {
        const measured = value(report);
        if (measured !== undefined) gauge.set({ path: report.id }, measured);
      }
    });
  };
  metrics.gauge('isthmus_path_state', 'Always 1; the label says it', ['path', 'state'], (gauge) => {
    for (const { id: path, state } of paths.reports()) gauge.set({ path, state }, 1);
  });
  each('isthmus_path_rtt_seconds', 'Round trip of a path, smoothed', ({ rttMs }) => rttMs && rttMs / 1000);
  each('isthmus_path_loss_ratio', 'Share of the probes of a path that are lost', ({ lossRate }) => lossRate);
  each('isthmus_path_mtu_bytes', 'Largest packet that a tunnel carries', ({ mtu }) => mtu);
}
