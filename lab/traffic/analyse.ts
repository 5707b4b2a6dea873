// What a trace says about the network: lost, duplicated, reordered, and for how long nothing came.
// This module is pure.

import type { ConnectionTrace, FlowTrace, Trace } from './trace.ts';

/** A part of a trace, in ms of its clock: what was sent in it counts, whenever it arrived. */
export interface Window {
  readonly from: number;
  /** Not itself part of it. */
  readonly to: number;
}

/** One UDP flow, or all together. */
export interface FlowCount {
  readonly sent: number;
  /** Of these, at least once. */
  readonly received: number;
  /** Never. */
  readonly lost: number;
  /** Arrivals of what had arrived before. */
  readonly duplicated: number;
  /** First arrivals after a later one of the flow: Type-P-Reordered (RFC 4737 §3). */
  readonly reordered: number;
  /**
   * The longest part of the window, in ms, in which no datagram of the flow arrived for the first time. The window's ends count as
   * arrivals, nothing is taken off: a flow of 125 Hz that loses nothing has its 8 ms and the jitter of both processes. Of several flows, the longest.
   */
  readonly silenceMs: number;
  /** The same of the sender: the longest part in which it sent nothing. As long as the silence, it explains it. */
  readonly pauseMs: number;
}

/** All TCP connections. */
export interface ConnectionCount {
  readonly opened: number;
  /** Ended by anybody but the generator, or with a write of the window that had not come back when the trace ends. */
  readonly lost: number;
  /** The longest part of the window, in ms, in which a connection gave nothing back: there and back, lost connections included. */
  readonly silenceMs: number;
}

export interface Analysis {
  readonly flows: readonly (FlowCount & { readonly id: string })[];
  /** Those that stood when the window began, with the longest part of it in which each gave nothing back. */
  readonly connections: readonly { readonly id: string; readonly silenceMs: number }[];
  readonly udp: FlowCount;
  readonly tcp: ConnectionCount;
}

export function analyse(trace: Trace, window: Window): Analysis {
  const flows = trace.flows.map((flow) => ({ id: flow.id, ...countFlow(flow, window) }));
  const standing = trace.connections.filter(({ ended }) => ended === undefined || ended.at >= window.from);
  const connections = standing.map(({ id, echoed }) => ({ id, silenceMs: longestGap(echoed, window) }));
  const tcp = {
    opened: standing.length,
    lost: standing.filter((connection) => isLost(connection, window)).length,
    silenceMs: Math.max(0, ...connections.map(({ silenceMs }) => silenceMs)),
  };
  return { flows, connections, udp: addUp(flows), tcp };
}

function isWithin(at: number | undefined, { from, to }: Window): boolean {
  return at !== undefined && at >= from && at < to;
}

function countFlow(flow: FlowTrace, window: Window): FlowCount {
  const sent = flow.sent.filter((at) => isWithin(at, window));
  const seen = new Set<number>();
  const firsts: number[] = [];
  let highest = -1;
  let received = 0;
  let duplicated = 0;
  let reordered = 0;
  for (const { sequence, at } of flow.arrivals) {
    const counts = isWithin(flow.sent[sequence], window);
    if (seen.has(sequence)) {
      duplicated += counts ? 1 : 0;
      continue;
    }
    seen.add(sequence);
    firsts.push(at);
    received += counts ? 1 : 0;
    reordered += counts && sequence < highest ? 1 : 0;
    highest = Math.max(highest, sequence);
  }
  const lost = sent.length - received;
  const gaps = { silenceMs: longestGap(firsts, window), pauseMs: longestGap(flow.sent, window) };
  return { sent: sent.length, received, lost, duplicated, reordered, ...gaps };
}

/** Times are in order, as they were noted. */
function longestGap(times: readonly number[], window: Window): number {
  let longest = 0;
  let last = window.from;
  for (const at of times) {
    if (!isWithin(at, window)) continue;
    longest = Math.max(longest, at - last);
    last = at;
  }
  return Math.max(longest, window.to - last);
}

function addUp(flows: readonly FlowCount[]): FlowCount {
  const sum = (of: (flow: FlowCount) => number): number => flows.reduce((all, flow) => all + of(flow), 0);
  const most = (of: (flow: FlowCount) => number): number => Math.max(0, ...flows.map(of));
  return {
    sent: sum(({ sent }) => sent),
    received: sum(({ received }) => received),
    lost: sum(({ lost }) => lost),
    duplicated: sum(({ duplicated }) => duplicated),
    reordered: sum(({ reordered }) => reordered),
    silenceMs: most(({ silenceMs }) => silenceMs),
    pauseMs: most(({ pauseMs }) => pauseMs),
  };
}

/** What came back came back in order: the first write without an echo is the one after the last that has one. */
function isLost({ sent, echoed, ended }: ConnectionTrace, window: Window): boolean {
  return (
    isWithin(ended?.at, window) || (isWithin(sent[echoed.length], window) && echoed.length < sent.length)
  );
}
