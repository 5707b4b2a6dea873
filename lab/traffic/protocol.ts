// What the two processes between which traffic flows are told, and what they say.
// This module is pure.

import * as v from 'valibot';

/** UDP and TCP port that the process of either pod takes traffic on. */
export const TRAFFIC_PORT = 8090;

/** What one of the two processes sends, and how much of it. Addresses of one flow or connection each are taken in turn. */
export const Load = v.object({
  /** Addresses of the other pod. */
  to: v.pipe(v.array(v.string()), v.minLength(1)),
  /** UDP flows, each from a port of its own. */
  flows: v.number(),
  /** Datagrams a second, all flows together. */
  rate: v.number(),
  /** Payload of a datagram. */
  datagram: v.number(),
  /** TCP connections that this side opens. */
  connections: v.number(),
  /** Milliseconds between the writes of one connection. */
  writeMs: v.number(),
  /** Bytes of one write. */
  write: v.number(),
});
export type Load = v.InferOutput<typeof Load>;

/**
 * What a process is told, one line each. `stop`: send no more, wait so long for what is under way, longer where connections have
 * something to give back yet, then say what was seen.
 */
export const Order = v.variant('order', [
  v.object({ order: v.literal('start'), load: Load }),
  v.object({ order: v.literal('stop'), graceMs: v.number(), patienceMs: v.number() }),
]);
export type Order = v.InferOutput<typeof Order>;

const times = v.array(v.number());

/** One connection, as the side saw it that opened it. Times in ms. */
export const ConnectionSeen = v.object({
  port: v.number(),
  /** When each write was made. */
  sent: times,
  /** When each write had come back entirely. */
  echoed: times,
  /** When and why it ended before it was told to. */
  ended: v.optional(v.object({ at: v.number(), why: v.string() })),
});

/** What one process saw of all. */
export const Seen = v.object({
  /** Flow → when each datagram was sent, by its sequence number. */
  sent: v.array(times),
  /** Flow of the other side → sequence numbers in the order of their arrival, and when each came. */
  arrived: v.array(v.object({ sequences: v.array(v.number()), at: times })),
  connections: v.array(ConnectionSeen),
  /** CPU of the process while it sent, beside the time that passed. */
  cpuMs: v.number(),
  lastedMs: v.number(),
});
export type Seen = v.InferOutput<typeof Seen>;

/** What a process says, one line each. */
export const Word = v.variant('word', [
  v.object({ word: v.literal('ready') }),
  v.object({ word: v.literal('open') }),
  v.object({ word: v.literal('failed'), why: v.string() }),
  v.object({ word: v.literal('seen'), seen: Seen }),
]);
export type Word = v.InferOutput<typeof Word>;
