// What failover is measured on: two sites with two gateways and two lanes each, or one tunnel set up by hand.

import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { handmadeSites } from '../bench/rig.ts';
import { findFaults } from '../faults/left.ts';
import { Lab } from '../lab.ts';
import { measureMatrix } from '../matrix.ts';
import { expectDaemons, startClusterset } from '../product.ts';
import { groupIn } from './switches.ts';

/** `static`: one WireGuard device a side and routes through it, made by hand: nothing of the product runs. */
export type BedKind = 'direct' | 'vxlan' | 'static';

const GATEWAYS = 2;
const LANES = 2;
/** A return may have to prove its steadiness for a minute, and a test in a loaded machine waits longer. */
const PATIENCE_MS = 150_000;

export class Bed implements AsyncDisposable {
  readonly kind: BedKind;
  readonly lab: Lab;
  readonly #lanes: number;

  /** @param lab two sites `east` and `west` that run, with two gateways each and so many lanes; whatever else there is may be as it likes */
  constructor(kind: BedKind, lab: Lab, lanes: number) {
    this.kind = kind;
    this.lab = lab;
    this.#lanes = lanes;
  }

  static async build(kind: BedKind): Promise<Bed> {
    if (kind === 'static') return new Bed(kind, await handmadeSites('fs'), 1);
    const site = {
      gateways: GATEWAYS,
      workers: 2,
      podsPerWorker: 1,
      hostProcesses: 0,
      lanes: LANES,
      link: kind,
    };
    const name = `bf${kind[0]}-${process.pid % 100_000}`;
    const lab = await Lab.up({ sites: { east: site, west: site } }, { name });
    try {
      await startClusterset(lab);
      return new Bed(kind, lab, LANES);
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  /** Waits until nothing is broken, every group has all of its members, and every pod reaches every other. */
  async whole(signal?: AbortSignal): Promise<void> {
    for (const until = Date.now() + PATIENCE_MS; ; await sleep(250, undefined, { signal })) {
      const missing = await this.#missing();
      if (missing.length === 0) return;
      if (Date.now() < until) continue;
      if (this.kind !== 'static') await expectDaemons(this.lab, ['east', 'west']);
      throw new Error(`Cannot go on measuring: ${missing.slice(0, 6).join('; ')}`);
    }
  }

  async #missing(): Promise<string[]> {
    const faults = await findFaults(this.lab);
    if (faults.length > 0) return faults;
    const thin = this.kind === 'static' ? [] : await this.#thinGroups();
    if (thin.length > 0) return thin;
    const pairs = await measureMatrix(this.lab, { timeoutMs: 1000, sites: ['east', 'west'] });
    return pairs.filter(({ kept }) => !kept).map(({ from, to }) => `${from.name} does not reach ${to.name}`);
  }

  async #thinGroups(): Promise<string[]> {
    const found = await Promise.all(
      this.lab.nodes.map(async ({ place, role }) => {
        const members = role === 'gateway' ? GATEWAYS * this.#lanes : GATEWAYS;
        const said = (await this.lab.place(place).exec(['ip', 'nexthop'])).split('\n');
        const groups = said.map(groupIn).filter((group) => group !== undefined);
        const full = groups.filter(({ index, members: held }) => index <= 2 && held.length === members);
        // One a family.
        return full.length === 2 ? [] : [`${place} has not all of its ${members} ways in both families`];
      }),
    );
    return found.flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.down();
  }
}
