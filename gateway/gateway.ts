// The gateway daemon's own parts: one pass after another, each from the site and the clusterset to this host's kernel.

import type { GatewayView, Member } from '#broker';
import { applyPlan, kickPeer, laneKeys, readFacts, removeHost } from '#host';
import type { Again, AppliedPlan, DaemonParts, DaemonTools, Flags, HostFacts } from '#host';
import { condition } from '#lib/conditions';
import { readState } from '#lib/linux';
import type { Run } from '#lib/linux';
import type { PrivateKey, WireGuardSupport } from '#lib/wireguard';
import { SiteReader } from '#site';
import { createPlanner } from '#topology';
import type { Fleet, Host, HostPlan, TunnelPlan } from '#topology';
import { provenTunnels } from './adopt.ts';
import { pathConditions, peerOf } from './paths.ts';
import { inputsReader } from './inputs.ts';
import type { GatewayNode } from './inputs.ts';
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

/** One gateway. Every pass looks at everything; what it remembers is only what saves it work. */
export class Gateway implements DaemonParts {
  readonly #options: GatewayOptions;
  readonly #inputs: ReturnType<typeof inputsReader>;
  readonly #plan = createPlanner();
  readonly #prober: Prober;
  readonly #publisher: Publisher;
  readonly sources: DaemonParts['sources'];
  #facts: HostFacts | undefined;
  #keys: readonly PrivateKey[] = [];
  #silent: readonly TunnelPlan[] = [];
  #applied: AppliedPlan | undefined;
  #said = '';
  #known: Known = { membership: undefined, fleet: undefined, host: undefined, tunnels: [] };

  constructor(options: GatewayOptions) {
    const { tools, flags, member } = options;
    this.#options = options;
    const reader = new SiteReader(flags.site);
    const view = (): ReturnType<Member['view']> => member.view();
    this.#inputs = inputsReader({ reader, view, node: flags.node, conditions: tools.conditions });
    this.#publisher = new Publisher({ directory: flags.site });
    this.#prober = new Prober({
      changed: () => tools.wake(),
      kick: (tunnel) => {
        this.#silent = [...this.#silent, tunnel];
        tools.wake();
      },
    });
    this.#prober.start();
    this.sources = gatewaySources({ tools, site: flags.site, member, tick: () => this.#judge() });
  }

  async pass(): Promise<Again> {
    const { site, node, mapped } = await this.#inputs();
    if (mapped.membership === 'left') return await this.#leave();
    const { membership, fleet } = mapped;
    const host = await this.#host(fleet, node);
    const planned = this.#plan(fleet, host);
    this.#known = { membership, fleet, host, tunnels: planned.tunnels };
    await this.#lanes(site.lanes);
    await this.#apply(fleet, planned);
    this.#prober.watch(planned.tunnels, host.healthy);
    this.#options.tools.conditions.set('plan', planned.conditions);
    if (membership === 'member') await this.#say(node);
    const againMs = await this.#publish(fleet);
    this.#judge();
    return againMs === undefined ? {} : { againMs };
  }

  forget(): void {
    this.#facts = undefined;
  }

  ready(): string | undefined {
    if (this.#applied === undefined) return 'no plan has been applied yet';
    return this.#applied.failures[0] && `the plan is incomplete: ${this.#applied.failures[0].reason}`;
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

  /** The first time, tunnels that the kernel's groups hold count as answering: a restart moves nothing. */
  async #host(fleet: Fleet, node: GatewayNode): Promise<Host> {
    const { run, resilient } = this.#options;
    this.#facts ??= await readFacts(run, node);
    const isFirst = this.#applied === undefined;
    const healthy = isFirst
      ? provenTunnels(fleet, (await readState(run, { sysctls: [] })).groups)
      : this.#prober.healthy();
    return { node: node.name, ...this.#facts, resilient, healthy };
  }

  async #lanes(lanes: number): Promise<void> {
    if (this.#keys.length === lanes) return;
    const { keys, replaced } = await laneKeys(this.#options.flags.state, lanes);
    for (const error of replaced) this.#options.tools.log.warn({ error }, 'A key file was made anew');
    this.#keys = keys;
  }

  async #apply(fleet: Fleet, planned: HostPlan): Promise<void> {
    const { run, flags, wireguard, tools } = this.#options;
    await this.#kick(fleet);
    this.#applied = await applyPlan(run, planned, {
      stateDir: flags.state,
      keys: this.#keys,
      wireguard: wireguard.wireguard,
      before: this.#applied?.devices ?? [],
    });
    const [first] = this.#applied.failures;
    const reason = first && `${first.what}: ${first.reason}`;
    tools.conditions.set(
      'apply',
      reason === undefined ? [] : [condition('IST_HOST_INCOMPLETE', flags.node, { reason })],
    );
  }

  /** Peers without an endpoint of their own are left alone: where they are is known from their packets only. */
  async #kick(fleet: Fleet): Promise<void> {
    const silent = this.#silent;
    this.#silent = [];
    for (const { id, device } of silent) {
      const key = peerOf(fleet, id);
      const peers = this.#applied?.devices.find(({ name }) => name === device)?.peers;
      const peer = peers?.find(({ publicKey }) => publicKey === key);
      if (peer?.endpoint === undefined) continue;
      this.#options.tools.log.debug({ tunnel: id }, 'A silent tunnel begins anew');
      await kickPeer(this.#options.run, device, peer.publicKey);
    }
  }

  /** States what this gateway is. An ordinal that it no longer has is taken back first. */
  async #say({ ordinal, endpoint }: GatewayNode): Promise<void> {
    const { member } = this.#options;
    const keys = this.#keys.map(({ publicKey }) => publicKey);
    const gateway: GatewayView = { ordinal, keys, ...(endpoint === undefined ? {} : { endpoint }) };
    const text = JSON.stringify(gateway);
    if (text === this.#said) return;
    if (this.#said !== '' && !this.#said.startsWith(`{"ordinal":${ordinal},`)) await member.withdraw();
    await member.publishGateway(gateway);
    this.#said = text;
  }

  async #publish({ fabric, own, remotes }: Fleet): Promise<number | undefined> {
    const { member, tools, flags } = this.#options;
    const { clusterset } = member.view();
    const file = { clusterset, cluster: own.id, index: own.index, fabric, left: false };
    try {
      const again = await this.#publisher.publish({
        clusterset: file,
        remotes,
        complete: member.status().synced,
      });
      tools.conditions.set('publish', []);
      return again;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      tools.conditions.set('publish', [condition('IST_SITE_UNWRITABLE', flags.site, { reason })]);
      return undefined;
    }
  }

  #judge(): void {
    const { tools, member, wireguard, flags } = this.#options;
    const { membership, fleet, tunnels } = this.#known;
    tools.conditions.set('broker', member.status().conditions);
    tools.conditions.set('paths', pathConditions(tunnels, this.#prober.paths(), performance.now()));
    tools.conditions.set(
      'kind',
      wireguard.kind === 'kernel'
        ? []
        : [condition('IST_WIREGUARD_USERSPACE', flags.node, { program: 'wireguard-go' })],
    );
    const cluster = fleet?.own.id ?? '';
    tools.conditions.set(
      'membership',
      membership === 'revoked' ? [condition('IST_MEMBERSHIP_REVOKED', cluster, { cluster })] : [],
    );
  }

  /** The own cluster's signed departure: the only thing that makes a daemon remove what keeps packets off the uplink. */
  async #leave(): Promise<Again> {
    const { run, flags, tools } = this.#options;
    await this.#publisher.leave();
    await removeHost(run, flags.state);
    tools.log.info('The cluster has left: everything is removed from this host');
    return { done: true };
  }
}
