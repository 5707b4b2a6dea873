// What a daemon tells of itself on loopback: metrics, health, readiness and state, one registry a process, nothing global.

export { openMetrics } from './metrics.ts';
export type { Counter, Gauge, Histogram, Metrics } from './metrics.ts';
export { serveStatus } from './serve.ts';
export type { Reason, StatusOptions, StatusServer } from './serve.ts';
