// What the answers to probes say about paths: a path is up only after an answer, and down only after several in a row stayed out.
// This module is pure.

export { MISS_LIMIT, answered, isDoubted, kickDelay, missed, newPath, probeDelay, refused } from './path.ts';
export type { Path, PathState } from './path.ts';
