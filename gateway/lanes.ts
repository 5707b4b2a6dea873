// The lanes of this gateway's tunnels: how many there are for now, and the key of each.

import { laneKeyTimes, laneKeys, renewLaneKey } from '#host';
import type { Log } from '#lib/log';
import type { PrivateKey } from '#lib/wireguard';

export interface LanesOptions {
  /** The host's state directory, in which the keys lie. */
  readonly stateDir: string;
  readonly log: Log;
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
}

/**
 * Milliseconds that lanes are still stated which `site.yaml` gives up. Others hear in probes that these drain, and leave them,
 * within milliseconds, or some hundred on a busy machine; what is on its way then still finds a tunnel at the far end.
 */
const LEAVING_MS = 1000;
/** Milliseconds that they stay here after that. */
const FAREWELL_MS = 1000;
/** Milliseconds until a key that could not be had is tried again. */
const RETRY_MS = 5000;

export class Lanes {
  readonly #options: Required<LanesOptions>;
  #keys: readonly PrivateKey[] = [];
  #times: readonly (number | undefined)[] = [];
  #fault: string | undefined;
  #planned: number | undefined;
  #wanted = 0;
  /** Since when lanes are given up. */
  #leaving: number | undefined;

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

  /** Since when each key is there, as of the last {@link Lanes.look}, in milliseconds since 1970. */
  get times(): readonly (number | undefined)[] {
    return this.#times;
  }

  /** Lanes to state to others: those that are wanted, and for a while those that are given up. */
  get stated(): number {
    return this.#leftMs < LEAVING_MS ? this.#keys.length : this.#wanted;
  }

  /** Milliseconds until {@link Lanes.hold} has to be called again at the latest. */
  get restMs(): number {
    const left = this.#leftMs;
    const farewell = (left < LEAVING_MS ? LEAVING_MS : LEAVING_MS + FAREWELL_MS) - left;
    const leaving = this.#leaving === undefined ? Infinity : farewell;
    return Math.max(0, Math.min(leaving, this.#fault === undefined ? Infinity : RETRY_MS));
  }

  async look(): Promise<void> {
    this.#times = await laneKeyTimes(this.#options.stateDir, this.#keys.length);
  }

  /**
   * Gives a lane another key.
   * @throws {Error} when it cannot be written: the lane keeps the one that it has
   */
  async renew(lane: number): Promise<void> {
    this.#keys = this.#keys.with(lane, await renewLaneKey(this.#options.stateDir, lane));
    await this.look();
  }

  get #leftMs(): number {
    return this.#leaving === undefined ? Infinity : this.#options.now() - this.#leaving;
  }

  /**
   * Lanes to plan for, where so many are wanted. Their keys are read or made; while one cannot be had, the lanes stay as
   * they are, which at the start are those that are wanted: what an earlier process made of them stands.
   *
   * @param stated lanes that others know of: those that an earlier process had and nobody wants now are given up like any
   */
  async hold(wanted: number, stated = 0): Promise<number> {
    this.#wanted = wanted;
    if (this.#planned === undefined && stated > wanted) await this.#read(stated);
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
    if (wanted < held) this.#leaving ??= this.#options.now();
    else this.#leaving = undefined;
    if (this.#leaving !== undefined && this.#leftMs < LEAVING_MS + FAREWELL_MS) return held;
    this.#leaving = undefined;
    return wanted;
  }
}
