// Authenticated probes between the ends of a path. The one invariant: nothing that a datagram says is handed on unless it
// belongs to a question of this process, or shows that it was said after one; all else is counted and changes nothing.
// A responder never sends more bytes than it was asked with.

export { answerTo, encodeProbe, parseProbe } from './message.ts';
export type { Fault, Flags, Probe, ProbeKind } from './message.ts';
export type { ProbePeer } from './peer.ts';
export { Probes } from './probes.ts';
export type { Answer, Ignored, ProbesOptions, Speech } from './probes.ts';
export type { Question } from './questions.ts';
export { direction, probeKey, seal } from './seal.ts';
export type { Ends, Secret } from './seal.ts';
