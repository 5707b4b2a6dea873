// Holds one host to one plan after another, and looks at the kernel only when it may differ.

import { CommandError, changesBetween, hasChanges } from '#lib/linux';
import type { NetworkState, Run } from '#lib/linux';
import { isSameList } from '#lib/same';
import type { DeviceConfig, PrivateKey, PublicKey, WireGuardSupport } from '#lib/wireguard';
import type { HostPlan } from '#topology';
import { applyPlan, changePlan, deviceConfigs } from './apply.ts';
import type { AppliedPlan, PlanChange } from './apply.ts';
import type { KernelChange } from './monitor.ts';

export interface KeeperOptions {
  readonly run: Run;
  readonly stateDir: string;
  /** How WireGuard devices come to be. */
  readonly wireguard: WireGuardSupport['wireguard'];
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
}

/** Milliseconds between looks that nothing asked for: what no monitor tells is found by then. */
const LOOK_MS = 30_000;
/** Milliseconds of calm after which what was changed, most often by ourselves, is looked at again. */
const CALM_MS = 1000;
/** Milliseconds within which it is looked at all the same. */
const RESTLESS_MS = 5000;
/** Milliseconds that a due look waits for changes: these are what packets wait for. */
const PATIENCE_MS = 1000;

/** Milliseconds that devices get to end sessions, all at once: those that hang must not keep packets from another way. */
const KICK_MS = 1000;
/** Milliseconds for which a device that hung is not kicked again, nor looked at. */
const HUNG_MS = 10_000;

/** One peer of one device. */
export interface DevicePeer {
  readonly device: string;
  readonly peer: PublicKey;
}

/** The plan that was applied last, and when the kernel has to be looked at again. */
interface Held {
  readonly network: NetworkState;
  readonly applied: AppliedPlan;
}

/**
 * One host's keeper. A kernel that nothing has happened to holds what was put there: a plan that wants the same costs
 * nothing, and one that leads packets elsewhere costs one command a program, without a look before.
 */
export class HostKeeper {
  readonly #options: Required<KeeperOptions>;
  #held: Held | undefined;
  /** Nexthops and groups that the last plan wants, from the moment that the kernel may hear of it. */
  #wanted: ReadonlySet<number> | undefined;
  /** Monotonic milliseconds: when the kernel is looked at, whatever happens. */
  #lookAt = 0;
  /** The first and the last change of ours that the kernel told of since the last look. */
  #restless: { readonly from: number; readonly to: number } | undefined;
  /** Devices that did not answer a kick, and until when they are left alone. */
  readonly #hung = new Map<string, number>();
  /** Applications in a row that were incomplete: each waits twice as long for the next as the one before. */
  #incomplete = 0;

  constructor(options: KeeperOptions) {
    this.#options = { now: () => performance.now(), ...options };
  }

  /** What was applied last. */
  get applied(): AppliedPlan | undefined {
    return this.#held?.applied;
  }

  /** Milliseconds until {@link hold} has to be called again at the latest. */
  get restMs(): number {
    return Math.max(0, this.#dueAt - this.#options.now());
  }

  /**
   * The kernel says that something changed. Whether a look is due at once, and not only when all is calm: where a cluster becomes
   * unreachable, every host takes groups away in the same moment, and none has time to look whether they went.
   */
  noticed(what: KernelChange): boolean {
    const now = this.#options.now();
    const isMeant =
      what === 'ours' || (typeof what === 'object' && this.#wanted?.has(what.nexthop) === false);
    if (isMeant) this.#restless = { from: this.#restless?.from ?? now, to: now };
    else this.#lookWithin(0);
    return !isMeant;
  }

  /**
   * Ends these peers' sessions and forgets their timers. The next {@link hold} adds them again, and they begin anew at
   * once. A peer without an endpoint of its own is left alone: where it is, is known from its packets only.
   */
  async kick(peers: readonly DevicePeer[]): Promise<void> {
    const now = this.#options.now();
    const reachable = peers.filter(({ device }) => (this.#hung.get(device) ?? -Infinity) <= now);
    const byDevice = [...Map.groupBy(reachable, (one) => one.device)];
    await Promise.all(byDevice.map(([device, all]) => this.#end(device, all)));
  }

  /** As {@link applyPlan}, whose errors it throws. */
  async hold(plan: HostPlan, keys: readonly PrivateKey[]): Promise<AppliedPlan> {
    const held = this.#held;
    const devices = deviceConfigs(plan, keys);
    const isLate = this.#options.now() - this.#dueAt > PATIENCE_MS;
    const network = held === undefined || isLate ? undefined : changesBetween(held.network, plan.network);
    if (held === undefined || network === undefined) return await this.#apply(plan, keys);
    const before = held.applied.devices;
    if (!hasChanges(network) && isSameList(before, devices, isSameDevice)) {
      return this.restMs === 0 ? await this.#apply(plan, keys) : { ...held.applied, outcome: 'unchanged' };
    }
    return await this.#change(plan, { network, before, devices });
  }

  get #dueAt(): number {
    if (this.#restless === undefined) return this.#lookAt;
    const { from, to } = this.#restless;
    return Math.min(this.#lookAt, to + CALM_MS, from + RESTLESS_MS);
  }

  /** What was amiss before is so still: only a look can tell. */
  async #change(plan: HostPlan, change: PlanChange): Promise<AppliedPlan> {
    this.#wanted = idsIn(plan.network);
    const amiss = this.#held?.applied.failures ?? [];
    const changed = await changePlan(this.#options.run, change);
    if (changed.failures.length > 0) this.#lookWithin(0);
    const failures = [...changed.failures, ...amiss];
    const outcome = failures.length > 0 ? 'incomplete' : changed.outcome;
    const applied = { ...changed, outcome, failures };
    this.#held = { network: plan.network, applied };
    return applied;
  }

  async #apply(plan: HostPlan, keys: readonly PrivateKey[]): Promise<AppliedPlan> {
    const { run, stateDir, wireguard } = this.#options;
    const before = this.#held?.applied.devices ?? [];
    this.#wanted = idsIn(plan.network);
    // What the kernel says from here on may be about what is changed now.
    this.#lookAt = this.#options.now() + LOOK_MS;
    this.#restless = undefined;
    try {
      return this.#remember(plan, await applyPlan(run, plan, { stateDir, keys, wireguard, before }));
    } catch (error) {
      this.#lookAt = 0;
      throw error;
    }
  }

  async #end(device: string, peers: readonly DevicePeer[]): Promise<void> {
    const config = this.#held?.applied.devices.find(({ name }) => name === device);
    const dialled = new Set(
      config?.peers.flatMap(({ endpoint, publicKey }) => (endpoint === undefined ? [] : [publicKey])),
    );
    const going = new Set(peers.map(({ peer }) => peer).filter((peer) => dialled.has(peer)));
    if (going.size === 0) return;
    const removals = [...going].flatMap((peer) => ['peer', peer, 'remove']);
    const argv = ['wg', 'set', device, ...removals] as const;
    try {
      await this.#options.run({ argv, timeoutMs: KICK_MS });
    } catch (error) {
      // A device that is gone has no sessions to end; the next hold() says what is wrong with it.
      if (isHang(error)) return this.#leaveAlone(device);
    }
    this.#forget(device, going);
  }

  /** To put its peers back would hang as well, and what packets need would wait for it. Whether they went, a look will tell. */
  #leaveAlone(device: string): void {
    this.#hung.set(device, this.#options.now() + HUNG_MS);
    this.#lookWithin(HUNG_MS);
  }

  /** The device no longer holds these peers. */
  #forget(device: string, gone: ReadonlySet<PublicKey>): void {
    if (this.#held === undefined) return;
    const { network, applied } = this.#held;
    const without = (config: DeviceConfig): DeviceConfig =>
      config.name === device
        ? { ...config, peers: config.peers.filter(({ publicKey }) => !gone.has(publicKey)) }
        : config;
    this.#held = { network, applied: { ...applied, devices: applied.devices.map(without) } };
  }

  #remember({ network }: HostPlan, applied: AppliedPlan): AppliedPlan {
    this.#held = { network, applied };
    if (applied.outcome === 'incomplete') this.#lookWithin(CALM_MS * 2 ** this.#incomplete);
    this.#incomplete = applied.outcome === 'incomplete' ? this.#incomplete + 1 : 0;
    return applied;
  }

  #lookWithin(ms: number): void {
    this.#lookAt = Math.min(this.#lookAt, this.#options.now() + ms);
  }
}

function idsIn({ nexthops, groups }: NetworkState): ReadonlySet<number> {
  return new Set([...nexthops, ...groups].map(({ id }) => id));
}

/** No exit status: it had to be ended. */
function isHang(error: unknown): boolean {
  return error instanceof CommandError && error.exitCode === null && !error.isMissing;
}

function isSameDevice(a: DeviceConfig, b: DeviceConfig): boolean {
  const same = a.name === b.name && a.listenPort === b.listenPort && a.fwmark === b.fwmark;
  return same && a.privateKey.equals(b.privateKey) && isSameList(a.peers, b.peers);
}
