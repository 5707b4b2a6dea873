// What was sent and what arrived, both ends put together.
// This module is pure.

import type { Seen } from './protocol.ts';

/** One UDP flow in its one direction. Times are ms on one monotonic clock. */
export interface FlowTrace {
  /** `east/pod-a → west/pod-a #3` */
  readonly id: string;
  /** When each datagram was sent, by its sequence number. */
  readonly sent: readonly number[];
  /** In the order of arrival, duplicates included. */
  readonly arrivals: readonly Arrival[];
}

export interface Arrival {
  readonly sequence: number;
  readonly at: number;
}

/** One TCP connection, seen by the side that opened it. */
export interface ConnectionTrace {
  readonly id: string;
  /** When each write was made. */
  readonly sent: readonly number[];
  /** When each had come back whole. */
  readonly echoed: readonly number[];
  /** It ended before it was told to. */
  readonly ended?: { readonly at: number; readonly why: string } | undefined;
}

export interface Trace {
  readonly flows: readonly FlowTrace[];
  readonly connections: readonly ConnectionTrace[];
  /** Of one core, both processes together: 0.1 is a tenth. */
  readonly cpu: number;
}

/** One of the two pods, and what its process saw. */
export interface Side {
  readonly pod: string;
  readonly seen: Seen;
}

export function traceOf(sides: readonly [Side, Side]): Trace {
  const [a, b] = sides;
  return {
    flows: [...flowsOf(a, b), ...flowsOf(b, a)],
    connections: [...connectionsOf(a, b), ...connectionsOf(b, a)],
    cpu: a.seen.cpuMs / a.seen.lastedMs + b.seen.cpuMs / b.seen.lastedMs,
  };
}

function flowsOf(from: Side, to: Side): FlowTrace[] {
  return from.seen.sent.map((sent, id) => {
    const { sequences = [], at = [] } = to.seen.arrived[id] ?? {};
    const arrivals = sequences.map((sequence, n) => ({ sequence, at: at[n] ?? 0 }));
    return { id: `${from.pod} → ${to.pod} #${id}`, sent, arrivals };
  });
}

function connectionsOf(from: Side, to: Side): ConnectionTrace[] {
  return from.seen.connections.map((seen) => ({ ...seen, id: `${from.pod}:${seen.port} → ${to.pod}` }));
}
