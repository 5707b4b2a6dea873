// Which clusters packets flow to or from, and by which lanes: what their tunnels have carried.

import { readTransfers } from '#lib/wireguard';
import type { Transfer } from '#lib/wireguard';
import type { Run } from '#lib/linux';
import { clusterOf, laneOf } from '#topology';
import type { TunnelPlan } from '#topology';

/**
 * Bytes a second, in one direction, that are more than probes make: at the fastest pace 13 asks and as many answers of 128
 * bytes, and two of full size.
 */
const QUIET = 8000;

/** Compares each reading with the one before. */
export class Traffic {
  readonly #run: Run;
  readonly #now: () => number;
  #before = new Map<string, Transfer>();
  #at = 0;
  #carries: ReadonlySet<string> = new Set();
  #lanes: ReadonlySet<number> = new Set();
  #looks = 0;

  constructor(run: Run, now: () => number = () => performance.now()) {
    this.#run = run;
    this.#now = now;
  }

  /** What was busy when it was last asked. */
  get carries(): ReadonlySet<string> {
    return this.#carries;
  }

  /** Lanes that were busy when it was last asked. */
  get lanes(): ReadonlySet<number> {
    return this.#lanes;
  }

  /** How often it was asked. */
  get looks(): number {
    return this.#looks;
  }

  /** @throws {CommandError} when WireGuard's devices do not answer */
  async busy(tunnels: readonly Pick<TunnelPlan, 'id' | 'device' | 'peer'>[]): Promise<ReadonlySet<string>> {
    const transfers = await readTransfers(this.#run);
    const now = this.#now();
    const seconds = (now - this.#at) / 1000;
    const moving = new Set<string>();
    const after = new Map(transfers.map((transfer) => [`${transfer.device} ${transfer.peer}`, transfer]));
    for (const [key, { received, sent }] of after) {
      const before = this.#before.get(key);
      // A peer that was made anew counts from zero.
      const most = Math.max(received - (before?.received ?? received), sent - (before?.sent ?? sent));
      if (most > QUIET * seconds) moving.add(key);
    }
    this.#before = after;
    this.#at = now;
    const carrying = tunnels.filter(({ device, peer }) => moving.has(`${device} ${peer}`));
    this.#lanes = new Set(carrying.map(({ id }) => laneOf(id)));
    this.#looks += 1;
    this.#carries = new Set(carrying.map(({ id }) => clusterOf(id)));
    return this.#carries;
  }
}
