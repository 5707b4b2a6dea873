// The route agent's own parts: one pass after another, each from the site directory to this host's kernel.

import { setTimeout as delay } from 'node:timers/promises';
import { Events, FactsReader, HostKeeper, refusedConditions, removeHost } from '#host';
import type { Again, DaemonParts, DaemonTools, Flags, KernelChange } from '#host';
import { condition } from '#lib/conditions';
import { messageOf } from '#lib/errors';
import { pathText } from '#lib/health';
import type { Run } from '#lib/linux';
import { CLUSTERSET_FILE, SiteReader, fleetFromSite, watchSite } from '#site';
import type { SiteDirectory } from '#site';
import { createPlanner, healthText } from '#topology';
import type { Fleet, Host, HostPlan, Node } from '#topology';
import { Prober } from './prober.ts';
import { workerNode } from './role.ts';
import { Traffic } from './traffic.ts';

export interface AgentOptions {
  readonly tools: DaemonTools;
  readonly flags: Flags;
  readonly run: Run;
  /** The kernel has resilient nexthop groups. */
  readonly resilient: boolean;
}

/** What a plan is made of. */
interface Known {
  readonly fleet: Fleet;
  readonly node: Node;
}

/** One worker. It sends to those own gateways that answer and reach where a packet is to go. */
export class Agent implements DaemonParts {
  readonly #options: AgentOptions;
  readonly #reader: SiteReader;
  readonly #plan = createPlanner();
  readonly sources: DaemonParts['sources'];
  readonly #facts: FactsReader;
  readonly #prober: Prober;
  readonly #events: Events;
  readonly #traffic = new Traffic();
  #keeper: HostKeeper;
  #links: HostPlan['links'] = [];
  /** What the site directory said last of the own cluster. */
  #phase: 'unknown' | 'joined' | 'left' = 'unknown';
  #known: Known | undefined;
  #host: Host | undefined;

  constructor(options: AgentOptions) {
    const { tools, flags, run } = options;
    this.#options = options;
    this.#facts = new FactsReader(run);
    this.#keeper = this.#newKeeper();
    this.#reader = new SiteReader(flags.site);
    this.#prober = new Prober({
      changed: (changes) => {
        this.#events.add(changes);
        tools.wake();
      },
    });
    this.#events = new Events({ ...tools, paths: this.#prober });
    this.sources = [
      async () => {
        for await (const _ of watchSite(flags.site, { signal: tools.signal })) tools.wake();
      },
      () => this.#look(),
    ];
  }

  async pass(): Promise<Again> {
    const known = await this.#read();
    if (known === 'left') return await this.#leave();
    this.#wait(known === undefined && this.#phase === 'unknown');
    if (known === undefined) return {};
    this.#phase = 'joined';
    await this.#hold(known);
    return { againMs: this.#keeper.restMs };
  }

  noticed(what: KernelChange): boolean {
    if (what === 'facts') this.#facts.forget();
    return this.#keeper.noticed(what);
  }

  ready(): string | undefined {
    if (this.#phase === 'left') return 'the cluster has left';
    const { applied } = this.#keeper;
    if (applied === undefined) return 'no plan has been applied yet';
    return applied.failures[0] && `the plan is incomplete: ${applied.failures[0].reason}`;
  }

  state(): object {
    const now = { monotonic: performance.now(), wall: new Date() };
    return {
      fleet: this.#known?.fleet,
      host: this.#host && { ...this.#host, ...healthText(this.#host) },
      paths: [...this.#prober.reports()].map((path) => pathText(path, now)),
      ignored: Object.fromEntries(this.#prober.ignored()),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#prober[Symbol.dispose]();
    await Promise.resolve();
  }

  /** A fault is a condition, and what was last usable counts: gateways may die meanwhile. Undefined: there is nothing yet. */
  async #read(): Promise<Known | 'left' | undefined> {
    const { flags, tools } = this.#options;
    let reasons: readonly string[] = [];
    try {
      const directory = await this.#reader.read();
      if (directory.clusterset?.left === true) return 'left';
      reasons = directory.faults.map(({ message }) => message);
      // A file that has gone is no departure: what stands keeps packets off the uplink, and stays.
      this.#known = knownOf(directory, flags) ?? this.#known;
    } catch (error) {
      if (this.#known === undefined) throw error;
      reasons = [...reasons, messageOf(error)];
    } finally {
      const invalid = { reason: reasons.join('; ') };
      const faults = reasons.length === 0 ? [] : [condition('IST_SITE_INVALID', flags.node, invalid)];
      tools.conditions.set('site', faults);
    }
    return this.#known;
  }

  #wait(isWaiting: boolean): void {
    const { flags, tools } = this.#options;
    const file = `${flags.site}/${CLUSTERSET_FILE}`;
    const waits = isWaiting ? [condition('IST_WAITING_FOR_GATEWAY', flags.node, { file })] : [];
    tools.conditions.set('wait', waits);
  }

  async #hold({ fleet, node }: Known): Promise<void> {
    const { flags, tools, resilient } = this.#options;
    const facts = await this.#facts.read(node);
    this.#events.heed();
    const health = { healthy: new Set<never>(), ...this.#prober.health() };
    const host = { node: flags.node, ...facts, resilient, ...health };
    const planned = this.#plan(fleet, host);
    this.#host = host;
    const { failures } = await this.#keeper.hold(planned, []);
    this.#events.tell(performance.now());
    this.#watch(planned, fleet);
    const conditions = failures
      .slice(0, 1)
      .map(({ what, reason }) =>
        condition('IST_HOST_INCOMPLETE', flags.node, { reason: `${what}: ${reason}` }),
      );
    tools.conditions.set('apply', conditions);
    tools.conditions.set('plan', planned.conditions);
  }

  #watch(planned: Pick<HostPlan, 'links' | 'echoes'>, fleet: Pick<Fleet, 'remotes'>): void {
    this.#prober.watch(planned, fleet);
    this.#links = planned.links;
  }

  /** Once a second. */
  async #look(): Promise<void> {
    const { signal, wake } = this.#options.tools;
    let before = this.#prober.hung();
    while (!signal.aborted) {
      this.#options.tools.conditions.set('paths', refusedConditions(this.#prober.refused()));
      const devices = new Set(
        this.#links.map(({ local }) => local.split('%')[1] ?? this.#host?.uplink.device ?? ''),
      );
      this.#prober.traffic(await this.#traffic.isBusy(devices, this.#links.length));
      const hung = this.#prober.hung();
      if (hung.symmetricDifference(before).size > 0) wake();
      before = hung;
      await delay(1000, undefined, { signal }).catch(() => undefined);
    }
  }

  /** The host is as it was before us. The agent stays, for the day that the cluster joins again. */
  async #leave(): Promise<Again> {
    const { run, flags, tools } = this.#options;
    if (this.#phase === 'left') return {};
    this.#watch({ links: [], echoes: [] }, { remotes: [] });
    await removeHost(run, flags.state);
    tools.log.info('The cluster has left: everything is removed from this host');
    for (const source of ['wait', 'apply', 'plan']) tools.conditions.set(source, []);
    this.#phase = 'left';
    this.#known = undefined;
    this.#keeper = this.#newKeeper();
    this.#host = undefined;
    return {};
  }

  #newKeeper(): HostKeeper {
    const { run, flags } = this.#options;
    return new HostKeeper({ run, stateDir: flags.state, wireguard: 'kernel' });
  }
}

/** @throws {Error} when what it says is not whole, or says nothing of this worker */
function knownOf(directory: SiteDirectory, { site, node }: Flags): Known | undefined {
  const [missing] = directory.missing;
  // Without its file nobody knows which of this host's routes keep that cluster's packets off the uplink.
  if (missing !== undefined)
    throw new Error(
      `Cannot plan without "${missing}": its file in ${site}/clusters is lost. See to it that the gateways' files are copied whole`,
    );
  const fleet = fleetFromSite(directory);
  return fleet && { fleet, node: workerNode(directory.site, node) };
}
