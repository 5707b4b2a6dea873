// Gives the lanes of one gateway new keys, by what its prober and its traffic show.

import type { BrokerStatus } from '#broker';
import type { Conditions } from '#host';
import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import { messageOf } from '#lib/errors';
import type { Log } from '#lib/log';
import { laneOf } from '#topology';
import type { Fleet, TunnelPlan } from '#topology';
import type { Lanes } from './lanes.ts';
import type { Prober } from './prober.ts';
import { firstRotation, turn } from './rotation.ts';
import type { LaneSeen, Rotation, RotationSeen, Wish } from './rotation.ts';
import { standIn } from './stand-in.ts';
import type { Traffic } from './traffic.ts';

export interface RekeyingOptions {
  readonly lanes: Pick<Lanes, 'keys' | 'times' | 'look' | 'renew'>;
  readonly prober: Pick<Prober, 'standing' | 'relief'>;
  readonly traffic: Pick<Traffic, 'lanes' | 'looks'>;
  readonly log: Log;
  readonly conditions: Pick<Conditions, 'set'>;
  /** Something is to be done in the next pass. */
  readonly wake: () => void;
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
  /** Milliseconds since 1970. @default Date.now */
  readonly wall?: () => number;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** What the last pass planned, and whether it could be told. */
export interface Planned {
  readonly tunnels: readonly Pick<TunnelPlan, 'id'>[];
  readonly fleet: Pick<Fleet, 'remotes'> | undefined;
  /** All of it is in the kernel, and the broker has what this gateway states. */
  readonly isTold: boolean;
}

/** One lane's key, as /state tells of it. */
export interface LaneReport {
  readonly lane: number;
  readonly publicKey: string;
  readonly since: Date | undefined;
  readonly rotation: 'idle' | 'wished' | 'resting' | 'proving';
  /** Clusters to which nothing stands in for this lane. */
  readonly only: readonly string[];
}

/** What rests for a new key. */
export interface Rests {
  readonly gateway: boolean;
  readonly lanes: readonly number[];
}

/**
 * Milliseconds that a lane keeps its key. Sessions have fresh keys every two minutes whatever happens here: this bounds how
 * long somebody who got hold of a lane's key can pose as it.
 */
const KEPT_MS = 30 * 24 * 3600 * 1000;
/** Milliseconds that a lane may wait for others before an operator is told. */
const PATIENCE_MS = 60_000;
/** Milliseconds until another attempt where a key cannot be written. */
const UNWRITTEN_MS = 60_000;
/** Milliseconds between looks at tunnels that have to answer by the new key. */
const PROVING_MS = 200;

/** Whether the broker has all that was said, so that it would have the next thing too. A connection alone does not show it. */
export function isSettled({ connected, own }: Pick<BrokerStatus, 'connected' | 'own'>): boolean {
  return connected && own.length > 0 && own.every(({ acknowledged }) => acknowledged);
}

export class Rekeying {
  readonly #options: Required<RekeyingOptions>;
  #rotation: Rotation;
  #planned: Planned = { tunnels: [], fleet: undefined, isTold: false };
  /** Why the last new key could not be written. */
  #fault: string | undefined;
  /** Since when lanes wait that nobody stands in for. */
  #waiting: ReadonlyMap<number, number> = new Map();

  constructor(options: RekeyingOptions) {
    const defaults = { now: () => performance.now(), wall: () => Date.now(), random: Math.random };
    this.#options = { ...defaults, ...options };
    this.#rotation = firstRotation(this.#options.now());
  }

  /** What others should leave alone for now. */
  get rests(): Rests {
    const rotation = this.#rotation;
    if (rotation.phase === 'idle') return { gateway: false, lanes: [] };
    return { gateway: rotation.whole, lanes: [rotation.lane] };
  }

  /** Milliseconds until {@link Rekeying.step} has to be called again at the latest. */
  get restMs(): number {
    return this.#rotation.phase === 'proving' ? PROVING_MS : Infinity;
  }

  /** Once a second: a wish is a file's time, which nothing tells of. */
  async look(): Promise<void> {
    const { lanes, conditions, wake } = this.#options;
    await lanes.look();
    const seen = this.#seen();
    conditions.set('keys', [...this.#kept(seen), ...this.#unwritten()]);
    if (turn(this.#rotation, seen) !== this.#rotation) wake();
  }

  /** Goes on, in a pass, before it plans: a key that is new then is the one that the pass applies and states. */
  async step(planned: Planned): Promise<void> {
    const { lanes, log } = this.#options;
    this.#planned = planned;
    const seen = this.#seen();
    const before = this.#rotation;
    this.#rotation = turn(before, seen);
    if (before.phase === 'proving' || this.#rotation.phase !== 'proving') return;
    const { lane } = this.#rotation;
    try {
      await lanes.renew(lane);
      this.#fault = undefined;
      log.info({ lane }, 'A lane has a new key');
    } catch (error) {
      this.#fault = messageOf(error);
      // Packets went another way for nothing: not again and again.
      this.#rotation = { phase: 'idle', until: seen.now + UNWRITTEN_MS };
    }
  }

  report(): readonly LaneReport[] {
    const { keys, times } = this.#options.lanes;
    return this.#lanesSeen(this.#wishes()).map(({ lane, wish, standIn: { only } }) => {
      const time = times[lane];
      return {
        lane,
        publicKey: keys[lane]?.publicKey ?? '',
        since: time === undefined ? undefined : new Date(time),
        rotation: this.#phaseOf(lane, wish),
        only,
      };
    });
  }

  #phaseOf(lane: number, wish: Wish): LaneReport['rotation'] {
    const rotation = this.#rotation;
    if (rotation.phase !== 'idle' && rotation.lane === lane) return rotation.phase;
    return wish === 'keep' ? 'idle' : 'wished';
  }

  #unwritten(): Condition[] {
    return this.#fault === undefined ? [] : [condition('IST_KEY_UNWRITTEN', 'keys', { reason: this.#fault })];
  }

  /** Keys that have been kept for a while because nobody stands in for their lanes. */
  #kept({ lanes, now }: RotationSeen): Condition[] {
    const alone = lanes.filter(({ wish, standIn: { by } }) => wish === 'renew' && by === undefined);
    this.#waiting = new Map(alone.map(({ lane }) => [lane, this.#waiting.get(lane) ?? now]));
    return alone.flatMap(({ lane, standIn: { only } }) => {
      if (now - (this.#waiting.get(lane) ?? now) < PATIENCE_MS) return [];
      return [condition('IST_KEY_KEPT', `lane ${lane}`, { lane: `${lane}`, clusters: only.join(', ') })];
    });
  }

  /** Lanes of which nothing is wished are not looked at: a thousand clusters have thousands of tunnels. */
  #seen(): RotationSeen {
    const { traffic, now, random } = this.#options;
    const { isTold, fleet } = this.#planned;
    const current = this.#rotation.phase === 'idle' ? undefined : this.#rotation.lane;
    const lanes = this.#wishes().filter(({ lane, wish }) => wish !== 'keep' || lane === current);
    return {
      now: now(),
      random: random(),
      isTold: isTold && fleet !== undefined,
      lanes: this.#lanesSeen(lanes),
      looks: traffic.looks,
      busy: traffic.lanes,
    };
  }

  #wishes(): Pick<LaneSeen, 'lane' | 'wish'>[] {
    const { keys, times } = this.#options.lanes;
    return keys.map((_, lane) => ({ lane, wish: this.#wishOf(times[lane]) }));
  }

  #lanesSeen(wishes: readonly Pick<LaneSeen, 'lane' | 'wish'>[]): readonly LaneSeen[] {
    if (wishes.length === 0) return [];
    const { prober } = this.#options;
    const { fleet } = this.#planned;
    const tunnels = this.#planned.tunnels.map(({ id }) => id);
    const known = new Map(tunnels.map((id) => [id, prober.standing(id)]));
    const indexes = new Map(fleet?.remotes.map(({ id, index }) => [String(id), index]));
    const ways = { tunnels, standing: known.get.bind(known), siblings: prober.relief(), indexes };
    return wishes.map((wished) => ({
      ...wished,
      standIn: standIn(wished.lane, ways),
      up: tunnels.filter((id) => laneOf(id) === wished.lane && known.get(id) !== undefined),
    }));
  }

  #wishOf(time: number | undefined): Wish {
    if (time === undefined) return 'keep';
    if (time === 0) return 'force';
    return this.#options.wall() - time > KEPT_MS ? 'renew' : 'keep';
  }
}
