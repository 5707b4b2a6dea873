// Steady traffic between two pods, both ways: begun, stopped, and what came of it.

import { both } from '../addresses.ts';
import type { Lab } from '../lab.ts';
import { TrafficEnd } from './end.ts';
import type { Load } from './protocol.ts';
import { traceOf, type Trace } from './trace.ts';

export interface TrafficOptions {
  /** @default the first pods of the first two sites */
  readonly between?: readonly [string, string];
  /** UDP flows of each direction, each a 5-tuple of its own, families in turn. @default 8 */
  readonly flows?: number;
  /** Datagrams a second of each direction, all its flows together. @default 1000 */
  readonly rate?: number;
  /** Bytes of a datagram's payload. @default 64 */
  readonly datagram?: number;
  /** TCP connections, half of them opened by either side; each gives back what it is sent. @default 20 */
  readonly connections?: number;
  /** Milliseconds between two writes of one connection. @default 40 */
  readonly writeMs?: number;
  /** Bytes of a write. More than one segment shows what drops large packets. @default 64 */
  readonly write?: number;
}

/** What is sent where nothing else is said. */
export const STEADY = {
  flows: 8,
  rate: 1000,
  datagram: 64,
  connections: 20,
  writeMs: 40,
  write: 64,
} as const satisfies TrafficOptions;

export interface StopOptions {
  /** For datagrams. @default 500 */
  readonly graceMs?: number;
  /** For connections that have not given back everything, no longer than they need. @default 25000 */
  readonly patienceMs?: number;
}

/** A datagram that takes longer does not come. */
const GRACE_MS = 500;
/** TCP tries again after 0.2, 0.4, 0.8 s and so on: what has been silent for long is not yet lost. */
const PATIENCE_MS = 25_000;
const OPEN_MS = 20_000;

/** Running traffic. It leaves nothing behind, also when this process is killed. */
export class Traffic implements AsyncDisposable {
  readonly #ends: readonly [TrafficEnd, TrafficEnd];

  private constructor(ends: readonly [TrafficEnd, TrafficEnd]) {
    this.#ends = ends;
  }

  /** Resolves once every connection is open and datagrams flow. */
  static async start(lab: Lab, options: TrafficOptions = {}): Promise<Traffic> {
    const [a, b] = options.between ?? firstPods(lab);
    await using starting = new AsyncDisposableStack();
    const beginning = [TrafficEnd.start(lab, a), TrafficEnd.start(lab, b)] as const;
    // Where one does not start, the other one still has to be ended.
    for (const end of await Promise.allSettled(beginning)) if ('value' in end) starting.use(end.value);
    const ends = await Promise.all(beginning);
    const [first, second] = ends;
    first.tell({ order: 'start', load: loadTo(lab, b, options) });
    second.tell({ order: 'start', load: loadTo(lab, a, options) });
    for (const end of ends) await end.hear('open', OPEN_MS);
    starting.move();
    return new Traffic(ends);
  }

  /** Sends no more, waits for what is under way, and gives all that was seen. */
  async stop({ graceMs = GRACE_MS, patienceMs = PATIENCE_MS }: StopOptions = {}): Promise<Trace> {
    for (const end of this.#ends) end.tell({ order: 'stop', graceMs, patienceMs });
    const mostMs = graceMs + patienceMs + 20_000;
    const [a, b] = this.#ends;
    const seen = await Promise.all([a.hear('seen', mostMs), b.hear('seen', mostMs)]);
    await this[Symbol.asyncDispose]();
    return traceOf([
      { pod: a.pod, seen: seen[0].seen },
      { pod: b.pod, seen: seen[1].seen },
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends) await end[Symbol.asyncDispose]();
  }
}

function firstPods(lab: Lab): readonly [string, string] {
  const [a, b] = lab.layout.sites.map((site) => site.ends.find(({ kind }) => kind === 'pod')?.name);
  if (a === undefined || b === undefined)
    throw new RangeError(`Cannot send traffic in lab "${lab.name}": there are no two sites with a pod each`);
  return [a, b];
}

function loadTo(lab: Lab, pod: string, options: TrafficOptions): Load {
  const { flows, rate, datagram, connections, writeMs, write } = { ...STEADY, ...options };
  const to = both(lab.pod(pod).end.addresses);
  return { to, flows, rate, datagram, connections: Math.ceil(connections / 2), writeMs, write };
}
