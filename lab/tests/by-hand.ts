// Plans applied by hand on every node of a lab: the data plane alone, without broker or daemons.

import path from 'node:path';
import { stringify } from 'yaml';
import { applyPlan, checkHost, readFacts } from '#host';
import type { AppliedPlan } from '#host';
import { siteDocument } from '#lab';
import type { Lab, LabNode, LabPlace } from '#lab';
import { FABRIC4_DEFAULT } from '#lib/constants';
import { isCidr4, isCidr6, parseCidr } from '#lib/ip';
import type { Cidr } from '#lib/ip';
import { openWireGuard, PrivateKey } from '#lib/wireguard';
import type { DeviceConfig, WireGuardSupport } from '#lib/wireguard';
import { ownCluster, parseSite } from '#site';
import { createPlanner } from '#topology';
import type {
  Fleet,
  Host,
  HostPlan,
  OwnCluster,
  Planner,
  RemoteCluster,
  TunnelId,
  TunnelPlan,
} from '#topology';

const FABRIC = fabric(parseCidr(FABRIC4_DEFAULT), parseCidr('fdfa:bfab:1::/48'));

/** Which of a host's tunnels are taken to answer. */
export type Answering = (tunnel: TunnelId, node: LabNode) => boolean;

/** One node, and what it was last told. */
interface Hand {
  readonly node: LabNode;
  readonly place: LabPlace;
  readonly own: OwnCluster;
  readonly keys: readonly PrivateKey[];
  readonly planner: Planner;
  readonly wireguard: WireGuardSupport['wireguard'];
  readonly resilient: boolean;
  before: readonly DeviceConfig[];
}

/** All nodes of a lab, as one clusterset whose keys only this process knows. */
export class ByHand {
  readonly #home: Lab['home'];
  readonly #hands: readonly Hand[];

  private constructor(home: Lab['home'], hands: readonly Hand[]) {
    this.#home = home;
    this.#hands = hands;
  }

  static async join(lab: Lab): Promise<ByHand> {
    const hands = lab.layout.sites.map(async (site) => {
      const own = ownCluster(
        parseSite(stringify(siteDocument(site)), `${site.name}/site.yaml`),
        site.plan.index,
      );
      return Promise.all(site.nodes.map((node) => handOn(lab.place(node.place), node, own)));
    });
    return new ByHand(lab.home, (await Promise.all(hands)).flat());
  }

  /** Plans and applies everywhere. By place: what came of it. */
  async apply(answering: Answering): Promise<Map<string, AppliedPlan>> {
    const done = this.#hands.map(async (hand) => {
      const plan = await this.#plan(hand, answering);
      const { node, place, keys, wireguard, before } = hand;
      const stateDir = path.join(this.#home.node(node.place).varLib, 'isthmus/state');
      const applied = await applyPlan(place.run, plan, { stateDir, keys, wireguard, before });
      hand.before = applied.devices;
      return [node.place, applied] as const;
    });
    return new Map(await Promise.all(done));
  }

  /**
   * Asks through every tunnel until it answers, and applies with those that did: what daemons do, by ping.
   * @throws {Error} naming tunnels that stay silent
   */
  async warm(timeoutMs = 20_000): Promise<Map<string, AppliedPlan>> {
    await this.apply(() => false);
    const silent = await Promise.all(
      this.#hands.map(async (hand) => {
        const { tunnels } = await this.#plan(hand, () => false);
        const deaf = await Promise.all(
          tunnels.map(async (tunnel) => ((await ask(hand.place, tunnel, timeoutMs)) ? [] : tunnel.id)),
        );
        return deaf.flat().map((id) => `${hand.node.place} → ${id}`);
      }),
    );
    if (silent.flat().length > 0)
      throw new Error(`Cannot warm the tunnels: ${silent.flat().join(', ')} stay silent`);
    return this.apply(() => true);
  }

  /** What a node should hold. */
  async plan(name: string, answering: Answering): Promise<HostPlan> {
    const hand = this.#hands.find(({ node }) => node.place === name);
    if (hand === undefined) throw new RangeError(`Cannot find "${name}"`);
    return this.#plan(hand, answering);
  }

  async #plan({ node, place, own, planner, resilient }: Hand, answering: Answering): Promise<HostPlan> {
    const fleet = this.#fleet(own);
    const self = own.nodes.find(({ name }) => name === node.name);
    if (self === undefined) throw new RangeError(`Cannot find "${node.place}" in its site`);
    const facts = await readFacts(place.run, self);
    const host: Host = { ...facts, node: node.name, resilient, healthy: new Set() };
    const healthy = planner(fleet, host)
      .tunnels.map(({ id }) => id)
      .filter((id) => answering(id, node));
    return planner(fleet, { ...host, healthy: new Set(healthy) });
  }

  #fleet(own: OwnCluster): Fleet {
    const others = Map.groupBy(
      this.#hands.filter((hand) => hand.own !== own),
      (hand) => hand.own,
    );
    const remotes = Array.from(others, ([site, hands]) => remoteOf(site, hands));
    return { fabric: FABRIC, own, remotes: remotes.sort((a, b) => (a.id < b.id ? -1 : 1)) };
  }
}

async function handOn(place: LabPlace, node: LabNode, own: OwnCluster): Promise<Hand> {
  const [{ resilient }, { wireguard }] = [await checkHost(place.run), await openWireGuard(place.run)];
  const lanes = node.role === 'gateway' ? own.lanes : 0;
  const keys = Array.from({ length: lanes }, () => PrivateKey.generate());
  return { node, place, own, keys, planner: createPlanner(), wireguard, resilient, before: [] };
}

/** Whether the far end of a tunnel answers in each family, in time. */
async function ask(place: LabPlace, { local, remote }: TunnelPlan, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  for (const [at, from] of local.entries()) {
    const argv = ['ping', '-c', '1', '-W', '1', '-I', from, remote[at] ?? ''] as const;
    while (!(await succeeds(place, argv))) if (performance.now() > end) return false;
  }
  return true;
}

function succeeds(place: LabPlace, argv: readonly [string, ...string[]]): Promise<boolean> {
  return place.exec(argv).then(
    () => true,
    () => false,
  );
}

/** What the others' records would say. */
function remoteOf(
  { id, index, podCidrs, serviceCidrs, nodes }: OwnCluster,
  hands: readonly Hand[],
): RemoteCluster {
  const gateways = nodes.flatMap(({ name, ordinal, endpoint }) => {
    const hand = hands.find(({ node }) => node.name === name);
    if (ordinal === undefined || hand === undefined) return [];
    const keys = hand.keys.map(({ publicKey }) => publicKey);
    return [{ ordinal, keys, ...(endpoint === undefined ? {} : { endpoint }) }];
  });
  return { id, index, podCidrs, serviceCidrs, gateways };
}

function fabric(v4: Cidr, v6: Cidr): Fleet['fabric'] {
  if (isCidr4(v4) && isCidr6(v6)) return { v4, v6 };
  throw new TypeError(`Cannot use "${v4}" and "${v6}" as a fabric: they are not one of each family`);
}
