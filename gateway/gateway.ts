// The gateway daemon's own parts: one pass after another, each from the site and the clusterset to this host's kernel.

import type { Member } from '#broker';
import { Events, FactsReader, HostKeeper, Loop, refusedConditions, removeHost } from '#host';
import type { Again, DaemonParts, DaemonTools, Flags, KernelChange } from '#host';
import { condition } from '#lib/conditions';
import { messageOf } from '#lib/errors';
import type { Change } from '#lib/health';
import { readState } from '#lib/linux';
import type { Run } from '#lib/linux';
import type { WireGuardSupport } from '#lib/wireguard';
import { SiteReader } from '#site';
import { createPlanner } from '#topology';
import type { Fleet, Host, HostPlan, TunnelId, TunnelPlan } from '#topology';
import { provenTunnels } from './adopt.ts';
import { withGuards } from './fleet.ts';
import { blockedClusters, waysConditions } from './paths.ts';
import { inputsReader } from './inputs.ts';
import type { GatewayNode } from './inputs.ts';
import { Lanes } from './lanes.ts';
import { Prober } from './prober.ts';
import { resting } from './resting.ts';
import { Publisher } from './publish.ts';
import { Rekeying, isSettled } from './rekeying.ts';
import { readRemains } from './remains.ts';
import { gatewaySources } from './sources.ts';
import { Statement } from './statement.ts';
import { NOTHING_KNOWN, stateOf } from './state.ts';
import type { Known } from './state.ts';
import { Traffic } from './traffic.ts';
import type { Standing } from './usable.ts';

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
  readonly #events: Events;
  readonly #traffic: Traffic;
  readonly #statement: Statement;
  readonly #rekeying: Rekeying;
  readonly #silent = new Map<TunnelId, TunnelPlan>();
  readonly #standing = (id: TunnelId): Standing | undefined => this.#prober.standing(id);
  #known: Known = NOTHING_KNOWN;
  #isApplied = false;

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
      changed: (changes) => this.#turned(changes),
      kick: (tunnels) => this.#fellSilent(tunnels),
      keys: () => this.#lanes.keys,
    });
    this.#events = new Events({ ...tools, paths: this.#prober });
    this.#traffic = new Traffic(run);
    this.#statement = new Statement({ ...tools, member, lanes: this.#lanes, node: flags.node });
    this.#rekeying = new Rekeying({
      ...tools,
      lanes: this.#lanes,
      prober: this.#prober,
      traffic: this.#traffic,
    });
    this.#publishing = new Loop({
      pass: () => this.#publish(),
      failed: (error) => this.#unpublished(error),
      signal: tools.signal,
    });
    this.sources = this.#sources();
  }

  async pass(): Promise<Again> {
    const { site, node, mapped, isListed, drains, stated } = await this.#inputs();
    if (mapped.membership === 'left') return await this.#leave();
    if (await this.#mustWait()) return { againMs: WAITING_MS };
    const { membership } = mapped;
    const lanes = await this.#lanes.hold(site.lanes, stated);
    const isHeard = membership === 'member' && isListed && isSettled(this.#options.member.status());
    await this.#rekeying.step({ ...this.#known, isTold: this.#isApplied && isHeard });
    this.#isApplied = false;
    const wanted = { drains, isListed, lanes: site.lanes, rekeyed: this.#rekeying.rests };
    this.#prober.rest(resting(node.name, wanted));
    const fleet = { ...mapped.fleet, own: { ...mapped.fleet.own, lanes } };
    const { planned, host } = this.#planned(await this.#guarded(fleet), await this.#host(fleet, node));
    const { devices, tunnels } = planned;
    this.#known = { membership, fleet, host, drains, devices, tunnels };
    await this.#apply(planned);
    this.#events.tell(performance.now());
    this.#prober.watch({ ...planned, fleet }, host);
    if (await this.#kick()) await this.#apply(planned);
    this.#options.tools.conditions.set('plan', planned.conditions);
    if (membership === 'member') {
      if (isListed) this.#statement.state(node, this.#lanes.stated);
      else this.#statement.takeBack();
    }
    this.#publishing.wake();
    this.#judge();
    const { restMs } = this.#keeper;
    return { againMs: Math.min(restMs, this.#lanes.restMs, this.#rekeying.restMs) };
  }

  noticed(what: KernelChange): boolean {
    if (what === 'facts') this.#facts.forget();
    return this.#keeper.noticed(what);
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
    const seen = { prober: this.#prober, traffic: this.#traffic };
    return { wireguard: kind, broker, lanes: this.#rekeying.report(), ...stateOf(this.#known, seen, now) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#prober[Symbol.dispose]();
    await this.#options.member[Symbol.asyncDispose]();
  }

  #sources(): DaemonParts['sources'] {
    const sources = gatewaySources({
      ...this.#options,
      tick: () => this.#judge(),
      look: () => this.#look(),
      blocked: () => blockedClusters(this.#known.tunnels, this.#standing),
    });
    return [...sources, () => this.#publishing.run(), () => this.#statement.run()];
  }

  async #look(): Promise<void> {
    // Where it cannot be told, what was busy counts as busy.
    const busy = await this.#traffic.busy(this.#known.tunnels).catch(() => undefined);
    if (busy !== undefined) this.#prober.traffic(busy);
    await this.#rekeying.look();
  }

  #turned(changes: readonly Change[]): void {
    this.#events.add(changes);
    this.#options.tools.wake();
  }

  #fellSilent(tunnels: readonly TunnelPlan[]): void {
    for (const tunnel of tunnels) this.#silent.set(tunnel.id, tunnel);
    this.#options.tools.wake();
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
    const { run, resilient } = this.#options;
    const facts = await this.#facts.read(node);
    const isFirst = this.#keeper.applied === undefined;
    this.#events.heed();
    const health = isFirst
      ? provenTunnels(fleet, await readRemains(run, this.#lanes.keys))
      : this.#prober.health();
    return { node: node.name, ...facts, resilient, ...health };
  }

  /** Of a tunnel with another far end now nothing is known: it is planned for as one that never answered. */
  #planned(fleet: Fleet, host: Host): { planned: HostPlan; host: Host } {
    const planned = this.#plan(fleet, host);
    if (!this.#prober.renew(planned.tunnels)) return { planned, host };
    const renewed = { ...host, ...this.#prober.health() };
    return { planned: this.#plan(fleet, renewed), host: renewed };
  }

  async #apply(planned: HostPlan): Promise<void> {
    const { flags, tools } = this.#options;
    const { failures } = await this.#keeper.hold(planned, this.#lanes.keys);
    const reasons = failures.map(({ what, reason }) => `${what}: ${reason}`);
    const conditions = [this.#lanes.fault ?? [], ...reasons]
      .flat()
      .slice(0, 1)
      .map((reason) => condition('IST_HOST_INCOMPLETE', flags.node, { reason }));
    tools.conditions.set('apply', conditions);
    this.#isApplied = conditions.length === 0;
  }

  /**
   * Ends the sessions of silent tunnels, but of those that have answered in the meantime: whether there are any. Only after
   * packets go where they should: it takes a process a device, and the same plan has to be applied again.
   */
  async #kick(): Promise<boolean> {
    const silent = [...this.#silent.values()].filter(({ id }) => this.#prober.report(id)?.state !== 'up');
    this.#silent.clear();
    await this.#keeper.kick(silent);
    return silent.length > 0;
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
    const reason = messageOf(error);
    tools.conditions.set('publish', [condition('IST_SITE_UNWRITABLE', flags.site, { reason })]);
  }

  #judge(): void {
    const { tools, member } = this.#options;
    const { membership, fleet } = this.#known;
    const broker = member.status();
    // A connection takes a moment to make: that moment is no condition.
    const isStarting = !broker.connected && performance.now() - this.#started < STARTING_MS;
    tools.conditions.set('broker', isStarting ? [] : broker.conditions);
    const reports = [...this.#prober.reports()];
    const isUserspace = this.#options.wireguard.kind !== 'kernel';
    const seen = { ...this.#known, reports, standing: this.#standing, isUserspace };
    const ways = waysConditions(this.#options.flags.node, seen, performance.now());
    tools.conditions.set('paths', [...ways, ...refusedConditions(this.#prober.refused())]);
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
