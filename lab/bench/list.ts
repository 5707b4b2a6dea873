// All benchmarks, in the order in which they run.

import { applyBenchmark } from './apply.ts';
import type { Benchmark } from './benchmark.ts';
import { capBenchmark } from './cap.ts';
import { convergenceBenchmark } from './convergence.ts';
import { detectorBenchmark } from './detector.ts';
import { followersBenchmark } from './followers.ts';
import { joinBenchmark } from './join.ts';
import { memoryBenchmark } from './memory.ts';
import { planBenchmark } from './plan.ts';
import { roundTripBenchmark } from './round-trip.ts';
import { lanesBenchmark, throughputBenchmark } from './throughput.ts';

export const BENCHMARKS: readonly Benchmark[] = [
  planBenchmark,
  applyBenchmark,
  memoryBenchmark,
  joinBenchmark,
  convergenceBenchmark,
  followersBenchmark,
  detectorBenchmark,
  roundTripBenchmark,
  throughputBenchmark,
  lanesBenchmark,
  capBenchmark,
];
