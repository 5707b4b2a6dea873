// The lanes of this gateway's tunnels: how many there are for now, and the key of each.

import { laneKeys } from '#host';
import type { Log } from '#lib/log';
import type { PrivateKey } from '#lib/wireguard';

export interface LanesOptions {
  /** The host's state directory, in which the keys lie. */
  readonly stateDir: string;
  readonly log: Log;
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
}

/** Milliseconds that lanes stay which `site.yaml` gives up: others send by them until they have heard of it, which takes milliseconds, or some hundred on a busy machine. */
const FAREWELL_MS = 1000;
/** Milliseconds until a key that could not be had is tried again. */
const RETRY_MS = 5000;

export class Lanes {
  readonly #options: Required<LanesOptions>;
  #keys: readonly PrivateKey[] = [];
  #fault: string | undefined;
  #planned: number | undefined;
  /** Until when lanes stay that are given up. */
  #farewell: number | undefined;

  constructor(options: LanesOptions) {
    this.#options = { now: () => performance.now(), ...options };
  }

  /** By lane; fewer than there are lanes where {@link Lanes.fault} says why. */
  get keys(): readonly PrivateKey[] {
    return this.#keys;
  }

  /** Why a lane has no key. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Milliseconds until {@link Lanes.hold} has to be called again at the latest. */
  get restMs(): number {
    const farewell = this.#farewell === undefined ? Infinity : this.#farewell - this.#options.now();
    return Math.max(0, Math.min(farewell, this.#fault === undefined ? Infinity : RETRY_MS));
  }

  /**
   * Lanes to plan for, where so many are wanted. Their keys are read or made; while one cannot be had, the lanes stay as
   * they are, which at the start are those that are wanted: what an earlier process made of them stands.
   */
  async hold(wanted: number): Promise<number> {
    const lanes = this.#count(wanted);
    this.#keys = this.#keys.slice(0, lanes);
    this.#fault = undefined;
    if (this.#keys.length < lanes) await this.#read(lanes);
    if (this.#fault === undefined) this.#planned = lanes;
    return (this.#planned ??= lanes);
  }

  async #read(lanes: number): Promise<void> {
    const { keys, replaced, failure } = await laneKeys(this.#options.stateDir, lanes);
    for (const error of replaced) this.#options.log.warn({ error }, 'A key file was made anew');
    this.#fault = failure?.message;
    if (keys.length > this.#keys.length) this.#keys = keys;
  }

  #count(wanted: number): number {
    const held = this.#keys.length;
    const now = this.#options.now();
    if (wanted < held) this.#farewell ??= now + FAREWELL_MS;
    else this.#farewell = undefined;
    if (this.#farewell !== undefined && now < this.#farewell) return held;
    this.#farewell = undefined;
    return wanted;
  }
}
