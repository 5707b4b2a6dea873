// Which clusters packets flow to or from, and by which lanes: what their tunnels have carried.

import { readTransfers } from '#lib/wireguard';
import type { Transfer } from '#lib/wireguard';
import type { Run } from '#lib/linux';
import { clusterOf, laneOf } from '#topology';
import type { TunnelPlan } from '#topology';

/** Bytes a second, in one direction, that are more than small probes make: at the fastest pace 25 asks and as many answers of 128. */
const SMALL_PROBES = 7000;
/** Probes of full size a second at the most, with what WireGuard adds. */
const LARGE_PROBES = 2.2;

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
  async busy(
    tunnels: readonly Pick<TunnelPlan, 'id' | 'device' | 'peer' | 'mtu'>[],
  ): Promise<ReadonlySet<string>> {
    const transfers = await readTransfers(this.#run);
    const now = this.#now();
    const seconds = (now - this.#at) / 1000;
    const moved = new Map<string, number>();
    const after = new Map(transfers.map((transfer) => [`${transfer.device} ${transfer.peer}`, transfer]));
    for (const [key, { received, sent }] of after) {
      const before = this.#before.get(key);
      // A peer that was made anew counts from zero.
      const most = Math.max(received - (before?.received ?? received), sent - (before?.sent ?? sent));
      moved.set(key, most / seconds);
    }
    this.#before = after;
    this.#at = now;
    const carrying = tunnels.filter(
      ({ device, peer, mtu }) => (moved.get(`${device} ${peer}`) ?? 0) > SMALL_PROBES + LARGE_PROBES * mtu,
    );
    this.#lanes = new Set(carrying.map(({ id }) => laneOf(id)));
    this.#looks += 1;
    this.#carries = new Set(carrying.map(({ id }) => clusterOf(id)));
    return this.#carries;
  }
}
