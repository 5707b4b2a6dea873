// What this worker probes, and what its plan may make of the answers.

import { Paths } from '#host';
import type { Change, PathReport } from '#lib/health';
import type { Ignored } from '#lib/probe';
import type { Fleet, Health, HostPlan, LinkPlan } from '#topology';

export interface ProberOptions {
  /** Something is otherwise than the last plan took it for: plan first, and tell of the changes then. */
  readonly changed: (changes: readonly Change[]) => void;
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** Own gateways stand in for each other. */
const GATEWAYS = 'gateways';
const NOTHING: ReadonlySet<number> = new Set();
/** The prober of one worker. It begins with the first {@link Prober.watch}, and ends with its disposal. */
export class Prober implements Disposable {
  readonly #paths: Paths;
  #links: readonly LinkPlan[] = [];
  /** Gateways that were there first: packets go by them already. */
  #adopted: ReadonlySet<string> = new Set();
  /** Indexes of all clusters: what such a gateway counts as reaching until it says. */
  #all: ReadonlySet<number> = new Set();

  constructor({ changed, ...clock }: ProberOptions) {
    const nothing = { impaired: false, draining: false, blocked: false };
    this.#paths = new Paths({ ...clock, changed, kick: () => {}, speak: () => nothing });
  }

  /**
   * Watches exactly this. The first gateways count as up until they are silent: a restart of this daemon moves nothing. One
   * that is added later carries nothing before it has said whom it reaches.
   */
  watch({ links, echoes }: Pick<HostPlan, 'links' | 'echoes'>, { remotes }: Pick<Fleet, 'remotes'>): void {
    const isFirst = this.#links.length === 0;
    this.#links = links.filter(({ ordinal }) => ordinal !== undefined);
    const nodes = new Set(this.#links.map(({ node }) => node));
    this.#adopted = isFirst ? nodes : this.#adopted.intersection(nodes);
    this.#all = new Set(remotes.map(({ index }) => index));
    const paths = this.#links.map(({ node: id, local, remote }) => ({
      spec: { id, neighbour: GATEWAYS, far: `${local} ${remote}`, isProven: this.#adopted.has(id) },
      peer: { id, ends: [{ local, remote }] },
    }));
    this.#paths.hold({ paths, echoes: new Set(echoes) });
  }

  /** Whether more passes between this worker and its gateways than probes. */
  traffic(isBusy: boolean): void {
    const busy = new Set(isBusy ? [GATEWAYS] : []);
    this.#paths.traffic({ neighbours: busy, clusters: new Set() });
  }

  /** Gateways whose kernel has answered in their daemon's place for long. Nobody calls when one becomes so: it has to be looked for. */
  hung(): ReadonlySet<string> {
    return new Set(this.#links.map(({ node }) => node).filter((node) => this.#paths.isHung(node)));
  }

  /** What the next plan starts from. One that drains or hangs is left to clusters that no other reaches. */
  health(): Pick<Health, 'gateways'> {
    if (this.#links.length === 0) return {};
    const hung = this.hung();
    const up = this.#links.flatMap(({ node, ordinal }) => {
      if (ordinal === undefined || !this.#paths.isUp(node)) return [];
      const unsaid = this.#adopted.has(node) ? this.#all : NOTHING;
      const { draining = false, reach = unsaid } = this.#paths.told(node) ?? {};
      return [{ ordinal, isLast: draining || hung.has(node), reach }];
    });
    const staying = up.filter(({ isLast }) => !isLast).map(({ reach }) => reach);
    const reached = staying.reduce((all, reach) => all.union(reach), new Set<number>());
    return {
      gateways: new Map(
        up.map(({ ordinal, isLast, reach }) => [ordinal, isLast ? reach.difference(reached) : reach]),
      ),
    };
  }

  reports(): Iterable<PathReport> {
    return this.#paths.reports();
  }

  /** Monotonic milliseconds of the last answer. */
  answeredAt(path: string): number | undefined {
    return this.#paths.answeredAt(path);
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
    this.#paths[Symbol.dispose]();
  }
}
