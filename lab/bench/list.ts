// All benchmarks, in the order in which they run.

import type { Benchmark } from './benchmark.ts';

export const BENCHMARKS: readonly Benchmark[] = [];
