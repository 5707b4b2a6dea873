// Holds one host to one plan after another, and looks at the kernel only when it may differ.

import { isDeepStrictEqual } from 'node:util';
import type { NetworkState, Run } from '#lib/linux';
import type { DeviceConfig, PrivateKey, PublicKey, WireGuardSupport } from '#lib/wireguard';
import type { HostPlan } from '#topology';
import { applyPlan, changePeers, deviceConfigs } from './apply.ts';
import type { AppliedPlan } from './apply.ts';
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
/** Milliseconds until what was changed, most often by ourselves, is looked at again. */
const VERIFY_MS = 1000;

/** The plan that was applied last, and when the kernel has to be looked at again. */
interface Held {
  readonly network: NetworkState;
  readonly applied: AppliedPlan;
}

/** One host's keeper. A kernel that nothing has happened to holds what was put there: a plan that wants the same costs nothing. */
export class HostKeeper {
  readonly #options: Required<KeeperOptions>;
  #held: Held | undefined;
  /** Monotonic milliseconds. */
  #lookAt = 0;
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
    return Math.max(0, this.#lookAt - this.#options.now());
  }

  /** The kernel says that something changed. */
  noticed(what: KernelChange): void {
    this.#lookWithin(what === 'ours' ? VERIFY_MS : 0);
  }

  /**
   * Ends a peer's sessions and forgets its timers. The next {@link hold} adds it again, and it begins anew at once. A
   * peer without an endpoint of its own is left alone: where it is, is known from its packets only.
   */
  async kick(device: string, peer: PublicKey): Promise<boolean> {
    const config = this.#held?.applied.devices.find(({ name }) => name === device);
    const endpoint = config?.peers.find(({ publicKey }) => publicKey === peer)?.endpoint;
    if (endpoint === undefined) return false;
    this.#forget(device, peer);
    // A device that is gone has no sessions to end; the next hold() says what is wrong with it.
    await this.#options.run({ argv: ['wg', 'set', device, 'peer', peer, 'remove'] }).catch(() => undefined);
    return true;
  }

  /** As {@link applyPlan}, whose errors it throws. */
  async hold(plan: HostPlan, keys: readonly PrivateKey[]): Promise<AppliedPlan> {
    const held = this.#held;
    const devices = deviceConfigs(plan, keys);
    if (held === undefined || this.restMs === 0 || !isSameNetwork(held.network, plan.network)) {
      return await this.#apply(plan, keys);
    }
    const before = held.applied.devices;
    if (isSameList(before, devices, isSameDevice)) return { ...held.applied, outcome: 'unchanged' };
    return this.#remember(plan, await changePeers(this.#options.run, devices, before));
  }

  async #apply(plan: HostPlan, keys: readonly PrivateKey[]): Promise<AppliedPlan> {
    const { run, stateDir, wireguard } = this.#options;
    const before = this.#held?.applied.devices ?? [];
    // What the kernel says from here on may be about what is changed now.
    this.#lookAt = this.#options.now() + LOOK_MS;
    try {
      return this.#remember(plan, await applyPlan(run, plan, { stateDir, keys, wireguard, before }));
    } catch (error) {
      this.#lookAt = 0;
      throw error;
    }
  }

  /** The device no longer holds the peer. */
  #forget(device: string, peer: PublicKey): void {
    if (this.#held === undefined) return;
    const { network, applied } = this.#held;
    const without = (config: DeviceConfig): DeviceConfig =>
      config.name === device
        ? { ...config, peers: config.peers.filter(({ publicKey }) => publicKey !== peer) }
        : config;
    this.#held = { network, applied: { ...applied, devices: applied.devices.map(without) } };
  }

  #remember({ network }: HostPlan, applied: AppliedPlan): AppliedPlan {
    this.#held = { network, applied };
    if (applied.outcome === 'incomplete') this.#lookWithin(VERIFY_MS * 2 ** this.#incomplete);
    this.#incomplete = applied.outcome === 'incomplete' ? this.#incomplete + 1 : 0;
    return applied;
  }

  #lookWithin(ms: number): void {
    this.#lookAt = Math.min(this.#lookAt, this.#options.now() + ms);
  }
}

/** Lists are compared by their elements' identity: plans keep the elements that did not change. */
function isSameNetwork(a: NetworkState, b: NetworkState): boolean {
  const lists = ['links', 'addresses', 'neighbours', 'nexthops', 'groups', 'routes', 'rules'] as const;
  return (
    lists.every((name) => isSameList<unknown>(a[name], b[name], Object.is)) &&
    isDeepStrictEqual(a.sysctls, b.sysctls) &&
    isDeepStrictEqual(a.nftables, b.nftables)
  );
}

function isSameDevice(a: DeviceConfig, b: DeviceConfig): boolean {
  const same = a.name === b.name && a.listenPort === b.listenPort && a.fwmark === b.fwmark;
  return same && a.privateKey.equals(b.privateKey) && isSameList(a.peers, b.peers, Object.is);
}

function isSameList<T>(a: readonly T[], b: readonly T[], isSame: (a: T, b: T) => boolean): boolean {
  return (
    a.length === b.length &&
    a.every((element, at) => {
      const other = b[at];
      return other !== undefined && isSame(element, other);
    })
  );
}
