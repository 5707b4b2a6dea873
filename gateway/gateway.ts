// The gateway daemon's own parts: one pass after another, each from the site and the clusterset to this host's kernel.

import type { GatewayView, Member } from '#broker';
import { FactsReader, HostKeeper, Loop, removeHost } from '#host';
import type { Again, DaemonParts, DaemonTools, Flags, KernelChange } from '#host';
import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import { readState } from '#lib/linux';
import type { Run } from '#lib/linux';
import { readDevices } from '#lib/wireguard';
import type { WireGuardSupport } from '#lib/wireguard';
import { SiteReader } from '#site';
import { createPlanner } from '#topology';
import type { Fleet, Host, HostPlan, TunnelId, TunnelPlan } from '#topology';
import { provenTunnels } from './adopt.ts';
import type { Standing } from './adopt.ts';
import { withGuards } from './fleet.ts';
import { familyConditions, pathConditions, refusedConditions, stoppedConditions } from './paths.ts';
import { inputsReader } from './inputs.ts';
import type { GatewayNode } from './inputs.ts';
import { Lanes } from './lanes.ts';
import { Prober } from './prober.ts';
import { Publisher } from './publish.ts';
import { gatewaySources } from './sources.ts';
import { stateOf } from './state.ts';
import type { Known } from './state.ts';

export interface GatewayOptions {
  readonly tools: DaemonTools;
  readonly flags: Flags;
  readonly run: Run;
  readonly member: Member;
  readonly wireguard: WireGuardSupport;
  /** The kernel has resilient nexthop groups. */
  readonly resilient: boolean;
}

/** Milliseconds that the first connection to the broker may take before anybody is told. */
const STARTING_MS = 3000;
/** Peers that one pass makes anew: each is a process to run, and a change of routes must not wait for a thousand. */
const MOST_KICKS = 32;
/** Milliseconds between looks at whether the broker has been read. */
const WAITING_MS = 200;

/** One gateway. Every pass looks at everything; what it remembers is only what saves it work. */
export class Gateway implements DaemonParts {
  readonly #options: GatewayOptions;
  readonly #reader: SiteReader;
  readonly #inputs: ReturnType<typeof inputsReader>;
  readonly #plan = createPlanner();
  readonly #prober: Prober;
  readonly #publisher: Publisher;
  /** Beside the passes: a thousand files must not hold up the kernel. */
  readonly #publishing: Loop;
  readonly #keeper: HostKeeper;
  readonly #facts: FactsReader;
  readonly #lanes: Lanes;
  readonly sources: DaemonParts['sources'];
  readonly #started = performance.now();
  readonly #silent = new Map<TunnelId, TunnelPlan>();
  #said: string | undefined;
  #known: Known = { membership: undefined, fleet: undefined, host: undefined, devices: [], tunnels: [] };

  constructor(options: GatewayOptions) {
    const { tools, flags, member, run } = options;
    this.#options = options;
    const { wireguard } = options.wireguard;
    this.#keeper = new HostKeeper({ run, stateDir: flags.state, wireguard });
    this.#facts = new FactsReader(run);
    this.#lanes = new Lanes({ stateDir: flags.state, log: tools.log });
    this.#reader = new SiteReader(flags.site);
    const view = (): ReturnType<Member['view']> => member.view();
    this.#inputs = inputsReader({
      reader: this.#reader,
      view,
      cluster: member.status().cluster,
      node: flags.node,
      conditions: tools.conditions,
    });
    this.#publisher = new Publisher({ directory: flags.site });
    this.#prober = new Prober({
      changed: () => tools.wake(),
      keys: () => this.#lanes.keys,
      kick: (tunnel) => {
        this.#silent.set(tunnel.id, tunnel);
        tools.wake();
      },
    });
    this.#publishing = new Loop({
      pass: () => this.#publish(),
      failed: (error) => this.#unpublished(error),
      signal: tools.signal,
    });
    const sources = gatewaySources({ tools, site: flags.site, member, tick: () => this.#judge() });
    this.sources = [...sources, () => this.#publishing.run()];
  }

  async pass(): Promise<Again> {
    const { site, node, mapped, isListed } = await this.#inputs();
    if (mapped.membership === 'left') return await this.#leave();
    if (await this.#mustWait()) return { againMs: WAITING_MS };
    const { membership } = mapped;
    const lanes = await this.#lanes.hold(site.lanes);
    const fleet = { ...mapped.fleet, own: { ...mapped.fleet.own, lanes } };
    const { planned, host } = this.#planned(await this.#guarded(fleet), await this.#host(fleet, node));
    this.#known = { membership, fleet, host, devices: planned.devices, tunnels: planned.tunnels };
    await this.#apply(planned);
    this.#prober.watch(planned.tunnels, host.healthy);
    this.#options.tools.conditions.set('plan', planned.conditions);
    if (membership === 'member') await (isListed ? this.#say(node, site.lanes) : this.#takeBack());
    this.#publishing.wake();
    this.#judge();
    return { againMs: Math.min(this.#keeper.restMs, this.#lanes.restMs) };
  }

  noticed(what: KernelChange): void {
    if (what === 'facts') this.#facts.forget();
    this.#keeper.noticed(what);
  }

  ready(): string | undefined {
    const { applied } = this.#keeper;
    if (applied === undefined) return 'no plan has been applied yet';
    const reason = this.#lanes.fault ?? applied.failures[0]?.reason;
    return reason && `the plan is incomplete: ${reason}`;
  }

  state(): object {
    const now = { monotonic: performance.now(), wall: new Date() };
    const { kind } = this.#options.wireguard;
    const broker = this.#options.member.status();
    return { wireguard: kind, broker, ...stateOf(this.#known, this.#prober.paths(), now) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#prober[Symbol.dispose]();
    await this.#options.member[Symbol.asyncDispose]();
  }

  /** A first plan out of half the knowledge would take away what the other half has put there. */
  async #mustWait(): Promise<boolean> {
    const { run, flags, member, tools } = this.#options;
    const isBlind = this.#keeper.applied === undefined && !member.status().complete;
    const waits = isBlind && (await readState(run, { sysctls: [] })).rules.length > 0;
    const lost = waits ? [condition('IST_STATE_LOST', flags.node, { directory: flags.state })] : [];
    tools.conditions.set('knowledge', lost);
    return waits;
  }

  async #guarded(fleet: Fleet): Promise<Fleet> {
    if (this.#options.member.status().complete) return fleet;
    return withGuards(fleet, (await this.#reader.written()).clusters);
  }

  /** The first time, tunnels that the kernel's groups hold count as answering: a restart moves nothing. */
  async #host(fleet: Fleet, node: GatewayNode): Promise<Host> {
    const { resilient } = this.#options;
    const facts = await this.#facts.read(node);
    const isFirst = this.#keeper.applied === undefined;
    const healthy = isFirst ? provenTunnels(fleet, await this.#standing()) : this.#prober.healthy();
    return { node: node.name, ...facts, resilient, healthy };
  }

  async #standing(): Promise<Standing> {
    const { run } = this.#options;
    const { groups } = await readState(run, { sysctls: [] });
    // A device that hangs is reported when the plan is applied; the groups alone are believed until then.
    const devices = await readDevices(run).catch(() => undefined);
    return devices === undefined ? { groups } : { groups, devices };
  }

  /** Of a tunnel with another far end now nothing is known: it is planned for as one that never answered. */
  #planned(fleet: Fleet, host: Host): { planned: HostPlan; host: Host } {
    const planned = this.#plan(fleet, host);
    if (!this.#prober.renew(planned.tunnels)) return { planned, host };
    const renewed = { ...host, healthy: this.#prober.healthy() };
    return { planned: this.#plan(fleet, renewed), host: renewed };
  }

  async #apply(planned: HostPlan): Promise<void> {
    const { flags, tools } = this.#options;
    await this.#kick();
    const { failures } = await this.#keeper.hold(planned, this.#lanes.keys);
    const reasons = failures.map(({ what, reason }) => `${what}: ${reason}`);
    const conditions = [this.#lanes.fault ?? [], ...reasons]
      .flat()
      .slice(0, 1)
      .map((reason) => condition('IST_HOST_INCOMPLETE', flags.node, { reason }));
    tools.conditions.set('apply', conditions);
  }

  /** One that has answered in the meantime is left in peace. Where all are silent, a few follow in each pass. */
  async #kick(): Promise<void> {
    for (const id of this.#prober.healthy()) this.#silent.delete(id);
    for (const { id, device, peer } of [...this.#silent.values()].slice(0, MOST_KICKS)) {
      this.#silent.delete(id);
      const isKicked = await this.#keeper.kick(device, peer);
      if (isKicked) this.#options.tools.log.debug({ tunnel: id }, 'A silent tunnel begins anew');
    }
    if (this.#silent.size > 0) this.#options.tools.wake();
  }

  /**
   * States what this gateway is; the member takes back an ordinal that it no longer has. Without all keys nothing is said:
   * tunnels stand by those that were, and a shorter list would end them.
   */
  async #say({ ordinal, endpoint }: GatewayNode, lanes: number): Promise<void> {
    const { member } = this.#options;
    if (this.#lanes.fault !== undefined) return;
    const keys = this.#lanes.keys.slice(0, lanes).map(({ publicKey }) => publicKey);
    const gateway: GatewayView = { ordinal, keys, ...(endpoint === undefined ? {} : { endpoint }) };
    const text = JSON.stringify(gateway);
    if (text === this.#said) return;
    await member.publishGateway(gateway);
    this.#said = text;
  }

  /** Own workers do not know this gateway any more, and drop what it would hand them. */
  async #takeBack(): Promise<void> {
    if (this.#said === undefined) return;
    this.#said = undefined;
    await this.#options.member.withdraw();
  }

  async #publish(): Promise<Again> {
    const { member, tools } = this.#options;
    const { fleet } = this.#known;
    if (fleet === undefined) return {};
    const { fabric, own, remotes } = fleet;
    const { clusterset } = member.view();
    const againMs = await this.#publisher.publish({
      clusterset: { clusterset, cluster: own.id, index: own.index, fabric, left: false },
      remotes,
      complete: member.status().synced,
    });
    tools.conditions.set('publish', []);
    return againMs === undefined ? {} : { againMs };
  }

  #unpublished(error: unknown): void {
    const { tools, flags } = this.#options;
    const reason = error instanceof Error ? error.message : String(error);
    tools.conditions.set('publish', [condition('IST_SITE_UNWRITABLE', flags.site, { reason })]);
  }

  #pathConditions(): readonly Condition[] {
    const { wireguard, flags } = this.#options;
    const { devices, tunnels } = this.#known;
    const paths = this.#prober.paths();
    const now = performance.now();
    const silent = [...pathConditions(tunnels, paths, now), ...stoppedConditions(paths, now)];
    if (wireguard.kind === 'kernel') return silent;
    const userspace = condition('IST_WIREGUARD_USERSPACE', flags.node, { program: 'wireguard-go' });
    return [...silent, ...familyConditions(devices, tunnels, paths, now), userspace];
  }

  #judge(): void {
    const { tools, member } = this.#options;
    const { membership, fleet } = this.#known;
    const broker = member.status();
    // A connection takes a moment to make: that moment is no condition.
    const isStarting = !broker.connected && performance.now() - this.#started < STARTING_MS;
    tools.conditions.set('broker', isStarting ? [] : broker.conditions);
    tools.conditions.set('paths', [...this.#pathConditions(), ...refusedConditions(this.#prober.refused())]);
    const cluster = fleet?.own.id ?? '';
    tools.conditions.set(
      'membership',
      membership === 'revoked' ? [condition('IST_MEMBERSHIP_REVOKED', cluster, { cluster })] : [],
    );
  }

  /** The own cluster's signed departure: the only thing that makes a daemon remove what keeps packets off the uplink. */
  async #leave(): Promise<Again> {
    const { run, flags, tools } = this.#options;
    this.#known = { ...this.#known, fleet: undefined };
    await this.#publisher.leave();
    await removeHost(run, flags.state);
    tools.log.info('The cluster has left: everything is removed from this host');
    return { done: true };
  }
}
