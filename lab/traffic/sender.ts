// Sends at a steady rate, each flow and each connection in its turn.

import { now } from './clock.ts';
import type { Load } from './protocol.ts';
import { Connection } from './tcp.ts';
import { Flow } from './udp.ts';

/** How often what is due is looked for: by default each flow's turn comes once in it. Shorter costs more, longer makes flows uneven. */
const TICK_MS = 8;
/** Whoever was hung for longer goes on from now: what was not sent then is not made up for. */
const LATE_MS = 100;

/** Deals out turns at a steady pace. */
class Pace {
  readonly #everyMs: number;
  readonly #turn: (at: number) => void;
  #due: number;
  #turns = 0;

  constructor(everyMs: number, begin: number, turn: (at: number) => void) {
    this.#everyMs = everyMs;
    this.#due = begin;
    this.#turn = turn;
  }

  catchUp(at: number): void {
    if (at - this.#due > LATE_MS) this.#due = at;
    for (; this.#due <= at; this.#due += this.#everyMs) this.#turn(this.#turns++);
  }
}

/** All that one side sends. */
export class Sender {
  readonly flows: readonly Flow[];
  readonly connections: readonly Connection[];
  readonly #timer: NodeJS.Timeout;

  private constructor(load: Load, flows: readonly Flow[], connections: readonly Connection[]) {
    this.flows = flows;
    this.connections = connections;
    const begin = now();
    const paces = [
      new Pace(1000 / load.rate, begin, (turn) => flows[turn % flows.length]?.send()),
      new Pace(load.writeMs / Math.max(1, connections.length), begin, (turn) =>
        connections[turn % connections.length]?.write(),
      ),
    ];
    this.#timer = setInterval(() => {
      const at = now();
      for (const pace of paces) pace.catchUp(at);
    }, TICK_MS);
  }

  /** Sends as soon as every connection is open. */
  static async start(load: Load): Promise<Sender> {
    const to = (at: number): string => load.to[at % load.to.length] ?? '';
    const flows = Array.from({ length: load.flows }, (_, at) => Flow.open(at, to(at), load.datagram));
    const connections = Array.from({ length: load.connections }, (_, at) =>
      Connection.open(to(at), load.write),
    );
    return new Sender(load, await Promise.all(flows), await Promise.all(connections));
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
