// The route agent's own parts: one pass after another, each from the site directory to this host's kernel.

import { FactsReader, HostKeeper, removeHost } from '#host';
import type { Again, DaemonParts, DaemonTools, Flags, KernelChange } from '#host';
import { condition } from '#lib/conditions';
import type { Run } from '#lib/linux';
import { CLUSTERSET_FILE, SiteReader, fleetFromSite, watchSite } from '#site';
import { createPlanner, healthText } from '#topology';
import type { Fleet, Host } from '#topology';
import { workerNode } from './role.ts';

export interface AgentOptions {
  readonly tools: DaemonTools;
  readonly flags: Flags;
  readonly run: Run;
  /** The kernel has resilient nexthop groups. */
  readonly resilient: boolean;
}

/** One worker. It sends to every gateway that the site names; which of them answer is not judged here yet. */
export class Agent implements DaemonParts {
  readonly #options: AgentOptions;
  readonly #reader: SiteReader;
  readonly #plan = createPlanner();
  readonly sources: DaemonParts['sources'];
  readonly #facts: FactsReader;
  #keeper: HostKeeper;
  /** What the site directory said last of the own cluster. */
  #phase: 'unknown' | 'joined' | 'left' = 'unknown';
  #fleet: Fleet | undefined;
  #host: Host | undefined;

  constructor(options: AgentOptions) {
    const { tools, flags, run } = options;
    this.#options = options;
    this.#facts = new FactsReader(run);
    this.#keeper = this.#newKeeper();
    this.#reader = new SiteReader(flags.site);
    this.sources = [
      async () => {
        for await (const _ of watchSite(flags.site, { signal: tools.signal })) tools.wake();
      },
    ];
  }

  async pass(): Promise<Again> {
    const { flags, tools, resilient } = this.#options;
    const directory = await this.#reader.read();
    const faults = directory.faults.map(({ message }) =>
      condition('IST_SITE_INVALID', flags.node, { reason: message }),
    );
    tools.conditions.set('site', faults);
    if (directory.clusterset?.left === true) return await this.#leave();
    const [missing] = directory.missing;
    // Without its file nobody knows which of this host's routes keep that cluster's packets off the uplink.
    if (missing !== undefined)
      throw new Error(
        `Cannot plan without "${missing}": its file in ${flags.site}/clusters is lost. See to it that the gateways' files are copied whole`,
      );
    const fleet = fleetFromSite(directory);
    const file = `${flags.site}/${CLUSTERSET_FILE}`;
    const isWaiting = fleet === undefined && this.#phase === 'unknown';
    tools.conditions.set(
      'wait',
      isWaiting ? [condition('IST_WAITING_FOR_GATEWAY', flags.node, { file })] : [],
    );
    // A file that has gone is no departure: what stands keeps packets off the uplink, and stays.
    if (fleet === undefined) return {};
    this.#phase = 'joined';
    const facts = await this.#facts.read(workerNode(directory.site, flags.node));
    const host = { node: flags.node, ...facts, resilient, healthy: new Set<never>() };
    const planned = this.#plan(fleet, host);
    this.#fleet = fleet;
    this.#host = host;
    const { failures } = await this.#keeper.hold(planned, []);
    const conditions = failures
      .slice(0, 1)
      .map(({ what, reason }) =>
        condition('IST_HOST_INCOMPLETE', flags.node, { reason: `${what}: ${reason}` }),
      );
    tools.conditions.set('apply', conditions);
    tools.conditions.set('plan', planned.conditions);
    return { againMs: this.#keeper.restMs };
  }

  noticed(what: KernelChange): void {
    if (what === 'facts') this.#facts.forget();
    this.#keeper.noticed(what);
  }

  ready(): string | undefined {
    if (this.#phase === 'left') return 'the cluster has left';
    const { applied } = this.#keeper;
    if (applied === undefined) return 'no plan has been applied yet';
    return applied.failures[0] && `the plan is incomplete: ${applied.failures[0].reason}`;
  }

  state(): object {
    return {
      fleet: this.#fleet,
      host: this.#host && { ...this.#host, ...healthText(this.#host) },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
  }

  /** The host is as it was before us. The agent stays, for the day that the cluster joins again. */
  async #leave(): Promise<Again> {
    const { run, flags, tools } = this.#options;
    if (this.#phase === 'left') return {};
    await removeHost(run, flags.state);
    tools.log.info('The cluster has left: everything is removed from this host');
    for (const source of ['wait', 'apply', 'plan']) tools.conditions.set(source, []);
    this.#phase = 'left';
    this.#keeper = this.#newKeeper();
    this.#fleet = undefined;
    this.#host = undefined;
    return {};
  }

  #newKeeper(): HostKeeper {
    const { run, flags } = this.#options;
    return new HostKeeper({ run, stateDir: flags.state, wireguard: 'kernel' });
  }
}
