// Listens to the membership agent's sign of life, and tells from it what the stream alone cannot show.

import type { Beacon } from '../records/beacon.ts';
import { Patience } from './patience.ts';

/** Milliseconds. The agent speaks once a second: three missed words are silence. */
const SILENCE = 3000;
/** A beacon may overtake updates, and updates a beacon. */
const LAG = 1500;

/** What the reader holds, to compare with what the agent says there is. */
export interface Held {
  readonly sequence: number;
  readonly directory: string;
}

export class BeaconWatch {
  readonly #clock: () => number;
  /** Between two readings that only a suspicion asks for. */
  readonly #suspicion = new Patience(4000, 600_000);
  #beacon: Beacon | undefined;
  #heardAt: number | undefined;
  #agreedAt: number;

  /** @param clock monotonic milliseconds */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#agreedAt = clock();
  }

  /** Milliseconds since the agent was heard; undefined: never. */
  get age(): number | undefined {
    return this.#heardAt === undefined ? undefined : this.#clock() - this.#heardAt;
  }

  /** Milliseconds for which what we hold has differed from what the agent, still heard, says there is. */
  get disagreement(): number {
    return this.#heardAt === undefined || this.#isSilent() ? 0 : this.#heardAt - this.#agreedAt;
  }

  /** Takes a verified beacon; false when it is an old one. */
  hear(beacon: Beacon): boolean {
    if (this.#beacon?.session === beacon.session && beacon.time <= this.#beacon.time) return false;
    this.#beacon = beacon;
    this.#heardAt = this.#clock();
    return true;
  }

  /**
   * What the reader should do about it: `read on` where the stream may have more than it has shown, `read all` where
   * what was read cannot be what there is. Each suspicion is pursued less often when nothing comes of it.
   */
  advice({ sequence, directory }: Held): 'read on' | 'read all' | undefined {
    const beacon = this.#beacon;
    if (beacon === undefined) return undefined;
    const now = this.#clock();
    const isAhead = beacon.head > sequence;
    if (!isAhead && beacon.directory === directory) this.#agreedAt = now;
    const isSilent = this.#isSilent();
    if (!isSilent && now - this.#agreedAt <= LAG) {
      this.#suspicion.reset();
      return undefined;
    }
    if (!this.#suspicion.isDue(now)) return undefined;
    return isAhead || isSilent ? 'read on' : 'read all';
  }

  #isSilent(): boolean {
    return (this.age ?? 0) > SILENCE;
  }
}
