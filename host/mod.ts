// This host and its plan: one process at a time applies it, the unreachable routes come first and go last, and all of it can be removed by whoever holds the host's lock.

export { applyPlan, removeHost } from './apply.ts';
export type { AppliedPlan, ApplyPlanOptions } from './apply.ts';
export { UnfitHostError, checkHost } from './check.ts';
export { runDaemon } from './daemon.ts';
export type { DaemonOptions, DaemonParts, DaemonTools } from './daemon.ts';
export { Events } from './events.ts';
export type { EventsOptions } from './events.ts';
export { FactsReader, readFacts } from './facts.ts';
export type { HostFacts } from './facts.ts';
export { UsageError, parseFlags } from './flags.ts';
export type { Flags, Program } from './flags.ts';
export { HostKeeper } from './keeper.ts';
export type { KeeperOptions } from './keeper.ts';
export { laneKeyTimes, laneKeys, renewLaneKey, wishLaneKeys } from './keys.ts';
export type { LaneKeys } from './keys.ts';
export { HostLockedError, lockHost } from './lock.ts';
export { Loop } from './loop.ts';
export type { Again, LoopOptions } from './loop.ts';
export { runProgram } from './main.ts';
export { kernelWatches } from './monitor.ts';
export type { KernelChange } from './monitor.ts';
export { Paths } from './paths.ts';
export type { PathsOptions, Probed, ProbedPath } from './paths.ts';
export { refusedConditions } from './refused.ts';
export { Conditions } from './report.ts';
export type { Told } from './told.ts';
