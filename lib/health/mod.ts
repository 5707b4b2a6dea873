// What probes say about paths: a verdict follows from what was asked and answered, and at what time, and from nothing
// else. Values and times go in, asks and verdicts come out; whoever drives it has the sockets and the clock.
// This module is pure.

export { Budget, probeBudget } from './budget.ts';
export { describeChange } from './change.ts';
export type {
  Change,
  ForwardChange,
  ForwardReason,
  ForwardVerdict,
  MtuChange,
  MtuReason,
  PathReason,
  StateChange,
} from './change.ts';
export { Detector } from './detector.ts';
export type { DetectorOptions, PathAnswer, PathAsk, PathChange, Step } from './driving.ts';
export type { Hears } from './path.ts';
export { pathText } from './report.ts';
export type { Clock, PathReport, PathText } from './report.ts';
export type { PathState } from './state.ts';
export { TransitWatch } from './transit-watch.ts';
export type { TransitAsk, TransitOptions, TransitSpec, TransitStep } from './transit-watch.ts';
export type { PathSpec } from './watched.ts';
