// A small face over prom-client that always registers in the process' own registry.

import process from 'node:process';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export type { Counter, Gauge, Histogram } from 'prom-client';

/** Where a process' metrics are made. Names begin with `isthmus_` and end with their unit. */
export interface Metrics {
  /** MIME type of {@link Metrics.metrics}. */
  readonly contentType: string;
  /** Prometheus text of everything registered. */
  metrics(): Promise<string>;
  counter<L extends string = never>(name: string, help: string, labels?: readonly L[]): Counter<L>;
  /** @param collect sets it, emptied, whenever somebody asks */
  gauge<L extends string = never>(
    name: string,
    help: string,
    labels?: readonly L[],
    collect?: (gauge: Gauge<L>) => void,
  ): Gauge<L>;
  /** @param buckets upper bounds, ascending, in the metric's unit */
  histogram<L extends string = never>(
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: readonly L[],
  ): Histogram<L>;
}

/** A new registry with what every daemon tells: its build, memory, processor time and start. */
export function openMetrics({ component, version }: { component: string; version: string }): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const metrics: Metrics = {
    contentType: registry.contentType,
    metrics: () => registry.metrics(),
    counter: (name, help, labels = []) => new Counter({ name, help, labelNames: labels, registers }),
    gauge: (name, help, labels = [], collect) =>
      new Gauge({ name, help, labelNames: labels, registers, ...(collect && collected(collect)) }),
    histogram: (name, help, buckets, labels = []) =>
      new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers }),
  };
  metrics
    .gauge('isthmus_build_info', 'Always 1; the labels say what runs', ['component', 'version'])
    .set({ component, version }, 1);
  for (const metric of processMetrics()) registry.registerMetric(metric);
  return metrics;
}

/** What was set when it was last asked for may be of something that is gone. */
function collected<L extends string>(collect: (gauge: Gauge<L>) => void): { collect(this: Gauge<L>): void } {
  return {
    collect(): void {
      this.reset();
      collect(this);
    },
  };
}

/** Of prom-client's default metrics only these: the others keep performance observers running. */
function processMetrics(): readonly (Counter | Gauge)[] {
  const started = new Gauge({
    name: 'process_start_time_seconds',
    help: 'Start of the process, seconds since 1970',
    registers: [],
  });
  started.set(Date.now() / 1000 - process.uptime());
  const memory = new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory in bytes',
    registers: [],
    collect(): void {
      this.set(process.memoryUsage.rss());
    },
  });
  const processor = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time spent, user and system',
    registers: [],
    collect(): void {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  return [started, memory, processor];
}
