// Everything an operator may be told of, by code: one table, so that status, logs, metrics, clusterctl and the
// reference page say the same of the same thing.
// This module is pure.

export { compareConditions, condition, isConditionCode } from './condition.ts';
export type { Condition } from './condition.ts';
export { CONDITIONS } from './table.ts';
export type { ConditionArguments, ConditionCode, Severity } from './table.ts';
