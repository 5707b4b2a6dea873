// One bed at a time for many faults: others would take their share of the machine.

import { Bed, type BedKind } from './bed.ts';
import type { Variant } from './row.ts';

/** Which bed a fault needs. */
type Wish = Pick<Variant, 'bed' | 'spoilsBed'>;

export class Beds implements AsyncDisposable {
  #bed: Bed | undefined;
  #isNew = false;

  /** The bed of the last time where it will do: one that a fault spoils has to be new, so that nothing has spoilt it before. */
  async get({ bed: kind = 'direct', spoilsBed = false }: Wish): Promise<Bed> {
    const isGood = this.#bed?.kind === kind && (this.#isNew || !spoilsBed);
    return this.#bed !== undefined && isGood ? this.#bed : await this.#build(kind);
  }

  async #build(kind: BedKind): Promise<Bed> {
    await this.clear();
    const bed = await Bed.build(kind);
    this.#bed = bed;
    this.#isNew = true;
    return bed;
  }

  /** After a fault was in force in it. */
  async used({ spoilsBed = false }: Wish): Promise<void> {
    this.#isNew = false;
    if (spoilsBed) await this.clear();
  }

  async clear(): Promise<void> {
    const bed = this.#bed;
    this.#bed = undefined;
    await bed?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.clear();
  }
}
