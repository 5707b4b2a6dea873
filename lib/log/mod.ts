// Logs as JSON lines on standard output: one object a line, secrets never in it, the same fields everywhere.

export { openLog } from './log.ts';
export type { Fields, Level, Log, LogOptions } from './log.ts';
export { Sparing } from './sparing.ts';
export type { SparingOptions } from './sparing.ts';
