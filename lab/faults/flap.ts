// Breaks something and mends it, again and again.

import { setTimeout as sleep } from 'node:timers/promises';
import { faultOf, type Fault } from './fault.ts';

export interface FlapOptions {
  /** Milliseconds from one breakage to the next; half of it is broken. @default 1000 */
  readonly everyMs?: number;
  readonly forMs: number;
}

/** A fault that ends by itself as well. */
export interface Flapping extends Fault {
  /** Resolves when it has, and rejects if it could not go on. */
  readonly done: Promise<void>;
}

/** Begins broken; whole when it ends. What it has dropped are the packets of all turns that are over. */
export function flap(begin: () => Promise<Fault>, { everyMs = 1000, forMs }: FlapOptions): Flapping {
  const stop = new AbortController();
  let dropped = 0;
  const over = (packets: number): void => void (dropped += packets);
  const done = turns(begin, { everyMs, forMs, signal: stop.signal, over });
  done.catch(() => {});
  const end = async (): Promise<void> => {
    stop.abort();
    await done;
  };
  const fault = faultOf(`flapping each ${everyMs} ms for ${forMs} ms`, end, async () => dropped);
  return { ...fault, done };
}

interface Turns extends Required<FlapOptions> {
  readonly signal: AbortSignal;
  /** Called with what each turn dropped. */
  readonly over: (packets: number) => void;
}

async function turns(begin: () => Promise<Fault>, { everyMs, forMs, signal, over }: Turns): Promise<void> {
  const started = performance.now();
  const until = async (ms: number): Promise<void> => {
    await sleep(Math.max(0, started + ms - performance.now()), undefined, { signal }).catch(() => {});
  };
  for (let at = 0; at < forMs && !signal.aborted; at += everyMs) {
    await using fault = await begin();
    await until(at + everyMs / 2);
    over((await fault.dropped?.()) ?? 0);
    await fault.undo();
    await until(at + everyMs);
  }
}
