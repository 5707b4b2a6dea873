// What this gateway probes, and what its plan may make of the answers.

import { Paths } from '#host';
import { MIN_MTU_6 } from '#lib/constants';
import type { Change, PathReport, TransitAsk } from '#lib/health';
import type { Ignored, Speech } from '#lib/probe';
import { isSameList, isSameSet } from '#lib/same';
import type { PrivateKey } from '#lib/wireguard';
import { clusterOf, gatewayOf, laneOf, responderAddress } from '#topology';
import type { Fleet, Health, HostPlan, LinkPlan, TunnelId, TunnelPlan } from '#topology';
import {
  SIBLINGS,
  WORKERS,
  behindId,
  familyBehind,
  farEnd,
  farOf,
  gatewaysBehind,
  linkId,
  linkPath,
  tunnelPath,
} from './probed.ts';
import { NOTHING_RESTS, isSameRest } from './resting.ts';
import type { Resting } from './resting.ts';
import { reachOfSiblings, relief } from './siblings.ts';
import { usable } from './usable.ts';
import type { Standing } from './usable.ts';

export interface ProberOptions {
  /** Something is otherwise than the last plan took it for: plan first, and tell of the changes then. */
  readonly changed: (changes: readonly Change[]) => void;
  /** Tunnels stay silent: make their peers anew. WireGuard's own retry takes 5 to 15 s. */
  readonly kick: (tunnels: readonly TunnelPlan[]) => void;
  /** Own keys by lane, which seal the probes. */
  readonly keys: () => readonly PrivateKey[];
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** What a plan wants probed. */
export interface Watched extends Pick<HostPlan, 'tunnels' | 'links'> {
  readonly fleet: Pick<Fleet, 'remotes'>;
}

/** The prober of one gateway. It begins with the first {@link Prober.watch}, and ends with its disposal. */
export class Prober implements Disposable {
  readonly #options: Pick<ProberOptions, 'changed' | 'kick' | 'keys'>;
  readonly #paths: Paths;
  #tunnels = new Map<string, TunnelPlan>();
  /** Whom they led to when they were last watched. */
  readonly #fars = new Map<string, string>();
  #links = new Map<string, LinkPlan>();
  /** Tunnels by what a transit watch calls their gateway. */
  #gateways = new Map<string, readonly TunnelPlan[]>();
  #indexes = new Map<string, number>();
  /** Sizes that were found, as far as they were: what has never been measured is taken for what the plan computes. */
  readonly #room = new Map<string, number>();
  /** Links to workers that were up, and are not. */
  readonly #lost = new Set<string>();
  #resting = NOTHING_RESTS;
  /** What was last watched, by identity: plans keep the parts that did not change. */
  #watched: readonly (readonly object[])[] = [];
  /** Until something changes. */
  #usable: ReadonlySet<TunnelId> | undefined;
  #reach: ReadonlySet<number> | undefined;
  #telling: NodeJS.Immediate | undefined;
  /** What own nodes were last told to ask about. */
  #announced: ReadonlySet<number> = new Set();

  constructor({ changed, kick, keys, ...clock }: ProberOptions) {
    this.#options = { changed, kick, keys };
    this.#paths = new Paths({
      ...clock,
      changed: (changes) => this.#changed(changes),
      kick: (ids) => kick(ids.flatMap((id) => this.#tunnels.get(id) ?? [])),
      speak: (id) => this.#speak(id),
      through: (ask) => this.#through(ask),
    });
  }

  /**
   * Forgets what is known of those of these tunnels that have another far end, or another own key, now: it was known of
   * the former one.
   *
   * @returns whether one of them was up
   */
  renew(tunnels: readonly TunnelPlan[]): boolean {
    const keys = this.#options.keys();
    const other = tunnels.filter((tunnel) => {
      const before = this.#fars.get(tunnel.id);
      return before !== undefined && before !== farOf(tunnel, keys);
    });
    for (const { id } of other) this.#lose(id);
    if (other.length > 0) {
      this.#forget();
      this.#watched = [];
    }
    return other.some(({ id }) => this.#paths.isUp(id));
  }

  /**
   * Watches exactly this. What is known of paths that stay is kept; new ones that `proven` has as healthy begin as up, but
   * for those that had another far end before.
   */
  watch({ tunnels, links, fleet }: Watched, proven: Pick<Health, 'healthy' | 'room'>): void {
    const keys = this.#options.keys();
    // Most passes change nothing here, and thousands of paths take a while to look through.
    const lists = [tunnels, links, fleet.remotes, keys];
    if (lists.every((list, at) => isSameList(list, this.#watched[at] ?? []))) return;
    this.#watched = lists;
    const before = new Set(this.#fars.keys());
    this.renew(tunnels);
    // One that is measured anew, because its MTU is another one, carries packets all the while.
    const isProven = (id: TunnelId): boolean =>
      before.has(id) ? this.#fars.has(id) && this.#paths.isUp(id) : proven.healthy.has(id);
    const paths = [
      ...tunnels.flatMap((tunnel) =>
        tunnelPath(tunnel, { keys, room: proven.room, isProven: isProven(tunnel.id) }),
      ),
      ...links.map(linkPath),
    ];
    this.#tunnels = new Map(tunnels.map((tunnel) => [tunnel.id, tunnel]));
    this.#links = new Map(links.map((link) => [linkId(link), link]));
    this.#indexes = new Map(fleet.remotes.map(({ id, index }) => [id, index]));
    for (const id of this.#fars.keys()) if (!this.#tunnels.has(id)) this.#lose(id);
    for (const id of this.#lost) if (!this.#links.has(id)) this.#lost.delete(id);
    for (const tunnel of tunnels) this.#fars.set(tunnel.id, farOf(tunnel, keys));
    for (const [id, size] of proven.room ?? []) if (!this.#room.has(id)) this.#room.set(id, size);
    this.#forget();
    const behind = gatewaysBehind(tunnels, fleet);
    this.#gateways = new Map(behind.map((gateway) => [gateway.spec.id, gateway.tunnels]));
    this.#paths.hold({ paths, gateways: behind.map(({ spec }) => spec) });
  }

  /** What others are told to leave alone from now on. */
  rest(resting: Resting): void {
    const before = this.#resting;
    this.#resting = resting;
    if (isSameRest(before, resting)) return;
    this.#forget();
    this.#paths.announce([...this.#tunnels.keys(), ...this.#links.keys()]);
  }

  /** Clusters that packets flow to or from. */
  traffic(clusters: ReadonlySet<string>): void {
    // Whatever flows passes the own nodes as well.
    const own = clusters.size === 0 ? [] : [SIBLINGS, WORKERS];
    const behind = [...clusters].flatMap((cluster) => [behindId(cluster, 4), behindId(cluster, 6)]);
    this.#paths.traffic({ neighbours: new Set([...clusters, ...own]), clusters: new Set(behind) });
  }

  /** What the next plan starts from. */
  health(): Health {
    const healthy = this.#usableNow();
    const room = new Map<TunnelId, number>();
    for (const id of healthy) {
      const size = this.#room.get(id);
      if (size !== undefined) room.set(id, size);
    }
    const gateways = reachOfSiblings(this.#links.values(), this.#paths);
    return { healthy, ...(room.size > 0 && { room }), ...(gateways && { gateways }) };
  }

  /** Indexes of the clusters that siblings lead to which do not drain themselves. */
  relief(): ReadonlySet<number> {
    return relief(this.#links.values(), this.#paths);
  }

  report(id: string): PathReport | undefined {
    return this.#paths.report(id);
  }

  /** Of tunnels and links. */
  reports(): Iterable<PathReport> {
    return this.#paths.reports();
  }

  /** What is known of a tunnel that answers. */
  standing(id: TunnelId): Standing | undefined {
    if (!this.#paths.isUp(id) || this.#resting.clusters.has(clusterOf(id))) return undefined;
    const { impaired = false, draining = false, blocked = false } = this.#paths.told(id) ?? {};
    const narrow = (this.#room.get(id) ?? Infinity) < MIN_MTU_6;
    const rests = this.#resting.lanes.has(laneOf(id));
    const stopped = this.#paths.lacksDaemon(id);
    return { deaf: this.#isDeaf(id), narrow, impaired, draining: draining || rests, blocked, stopped };
  }

  /** Monotonic milliseconds of the last answer. */
  answeredAt(id: string): number | undefined {
    return this.#paths.answeredAt(id);
  }

  /** Own addresses that probes cannot be sent from, and why. */
  refused(): ReadonlyMap<string, string> {
    return this.#paths.refused();
  }

  /** Datagrams that changed nothing, by reason. */
  ignored(): ReadonlyMap<Ignored, number> {
    return this.#paths.ignored();
  }

  [Symbol.dispose](): void {
    clearImmediate(this.#telling);
    this.#paths[Symbol.dispose]();
  }

  #usableNow(): ReadonlySet<TunnelId> {
    this.#usable ??= usable([...this.#tunnels.values()], (id) => this.standing(id));
    return this.#usable;
  }

  /** Nothing is known of it any more. */
  #lose(id: string): void {
    this.#tunnels.delete(id);
    this.#fars.delete(id);
    this.#room.delete(id);
  }

  #forget(): void {
    this.#usable = undefined;
    this.#reach = undefined;
    // Once for all that one turn brings: thousands of tunnels take a while to look through.
    this.#telling ??= setImmediate(() => this.#announceReach());
  }

  #changed(changes: readonly Change[]): void {
    for (const change of changes) {
      const { path } = change;
      if (change.what === 'mtu') this.#room.set(path, change.to);
      // It learns that it does not forward from nobody else.
      if (change.what === 'forwards')
        this.#paths.announce((this.#gateways.get(path) ?? []).map(({ id }) => id));
      const link = this.#links.get(path);
      if (change.what !== 'state' || link === undefined || link.ordinal !== undefined) continue;
      if (change.to === 'up') this.#lost.delete(path);
      else if (change.from === 'up') this.#lost.add(path);
    }
    this.#forget();
    this.#options.changed(changes);
  }

  /**
   * A gateway that does not reach a worker which it has reached says so: where only its own link is dead, others are
   * better; where the worker is, all gateways say the same.
   */
  #speak(id: string): Omit<Speech, 'hears'> {
    const { gateway, lanes, clusters } = this.#resting;
    if (this.#links.has(id))
      return { impaired: false, draining: gateway, blocked: false, reach: this.#reached() };
    const tunnel = this.#tunnels.get(id)?.id;
    if (tunnel === undefined) return { impaired: false, draining: gateway, blocked: false };
    const rests = lanes.has(laneOf(tunnel)) || clusters.has(clusterOf(tunnel));
    return { impaired: this.#lost.size > 0, draining: gateway || rests, blocked: this.#isDeaf(tunnel) };
  }

  /** But for clusters whose gateways find that this one does not forward: own nodes have siblings for these. */
  #reached(): ReadonlySet<number> {
    return (this.#reach ??= new Set(
      [...this.#usableNow()]
        .filter((id) => this.#paths.told(id)?.blocked !== true)
        .flatMap((id) => this.#indexes.get(clusterOf(id)) ?? []),
    ));
  }

  /** At once: nothing flows to what is not reached, and own nodes ask rarely then. */
  #announceReach(): void {
    this.#telling = undefined;
    const reach = this.#reached();
    if (isSameSet(reach, this.#announced)) return;
    this.#announced = reach;
    this.#paths.announce(this.#links.keys());
  }

  /** Whether nobody behind its gateway answers through it. */
  #isDeaf(id: TunnelId): boolean {
    return ([4, 6] as const).some((family) => this.#paths.forwards(behindId(gatewayOf(id), family)) === 'no');
  }

  /** By another lane each time. */
  #through({ gateway, responder, sequence }: TransitAsk): { path: string; to: string } | undefined {
    const family = familyBehind(gateway);
    const sound = (this.#gateways.get(gateway) ?? []).filter(({ id }) => this.#paths.isSound(id));
    const tunnel = sound[sequence % sound.length];
    if (tunnel === undefined) return undefined;
    const end = farEnd(tunnel, family);
    return end && { path: tunnel.id, to: responderAddress(end, responder) };
  }
}
