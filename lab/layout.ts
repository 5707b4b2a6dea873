// What a scenario amounts to: the lab's namespaces, the wires between them, and who answers where.
// This module is pure.

import { WIREGUARD_PORTS } from '#lib/constants';
import {
  both,
  FIRST_GATEWAY,
  lanAddress,
  nodePods,
  podAddress,
  type Pair,
  type SitePlan,
  uplink,
} from './addresses.ts';
import type { Scenario, SiteScenario } from './scenario.ts';

/** A gateway or a worker: a machine of a site. */
export interface LabNode {
  /** `east/gw-0`. */
  readonly place: string;
  /** `gw-0`: its host name. */
  readonly name: string;
  readonly role: 'gateway' | 'worker';
  /** Gateways only. */
  readonly ordinal?: number;
  readonly number: number;
  readonly addresses: Pair;
  readonly podCidrs: Pair;
  readonly pods: readonly LabPod[];
}

export interface LabPod {
  readonly place: string;
  readonly name: string;
  readonly addresses: Pair;
}

/** A process that answers who it was reached from, and asks others: a pod, or one in the host network of a node. */
export interface LabEnd {
  /** `east/pod-a`, `east/host-1`. */
  readonly name: string;
  readonly site: string;
  readonly kind: 'pod' | 'host';
  /** The namespace that it runs in. */
  readonly place: string;
  /** A pod's own addresses. A host process has none of its own: it is asked nothing. */
  readonly addresses: Pair;
  /** By these it has to be seen: a pod by its own, a host process by any inside its node's pod CIDRs. */
  readonly seenAs: Pair;
}

export interface LabSite {
  readonly name: string;
  readonly scenario: SiteScenario;
  readonly plan: SitePlan;
  readonly nodes: readonly LabNode[];
  readonly ends: readonly LabEnd[];
}

/** One namespace. */
export interface Place {
  readonly name: string;
  readonly kind: 'internet' | 'broker' | 'router' | 'gateway' | 'worker' | 'pod';
  /** Absent: belongs to no site. */
  readonly site?: string;
}

/** A veth pair, made inside its two namespaces so that the host never holds an end of it. */
export interface Wire {
  readonly ends: readonly [WireEnd, WireEnd];
  readonly mtu: number;
}

export interface WireEnd {
  readonly place: string;
  readonly device: string;
}

export interface Layout {
  readonly scenario: Scenario;
  readonly sites: readonly LabSite[];
  readonly places: readonly Place[];
  readonly wires: readonly Wire[];
}

export function layout(scenario: Scenario): Layout {
  const sites = Object.entries(scenario.sites).map(([name, site], at) => makeSite(name, site, at + 1));
  return {
    scenario,
    sites,
    places: [
      { name: 'internet', kind: 'internet' },
      { name: 'broker', kind: 'broker' },
      ...sites.flatMap(placesOf),
    ],
    wires: [
      wire(['internet', 'broker'], ['broker', 'eth0'], 1500),
      ...sites.flatMap((site) => [
        wire(['internet', site.name], [`${site.name}/router`, 'wan'], site.scenario.uplinkMtu),
        ...site.nodes.flatMap((node) => wiresOf(site, node)),
      ]),
    ],
  };
}

function makeSite(name: string, scenario: SiteScenario, index: number): LabSite {
  const plan: SitePlan = {
    index,
    underlay: scenario.underlay,
    pods: scenario.pods,
    translated: scenario.nat !== 'none',
    podNetwork: scenario.podNetwork ?? index,
  };
  const letters = podNames();
  const node = (role: LabNode['role'], at: number): LabNode => {
    const number = role === 'gateway' ? FIRST_GATEWAY + at : at + 1;
    const nodeName = role === 'gateway' ? `gw-${at}` : `worker-${at + 1}`;
    const pods = role === 'gateway' ? scenario.podsPerGateway : scenario.podsPerWorker;
    return {
      place: `${name}/${nodeName}`,
      name: nodeName,
      role,
      ...(role === 'gateway' && { ordinal: at }),
      number,
      addresses: lanAddress(plan, number),
      podCidrs: nodePods(plan, number),
      pods: Array.from({ length: pods }, (_, i) =>
        makePod(name, letters.next().value, podAddress(plan, number, i + 2)),
      ),
    };
  };
  const workers = Array.from({ length: scenario.workers }, (_, at) => node('worker', at));
  const gateways = Array.from({ length: scenario.gateways }, (_, at) => node('gateway', at));
  const nodes = [...gateways, ...workers];
  return { name, scenario, plan, nodes, ends: endsOf(name, scenario, [...workers, ...gateways]) };
}

function makePod(site: string, name: string, addresses: Pair): LabPod {
  return { place: `${site}/${name}`, name, addresses };
}

/** pod-a … pod-z, then pod-27 and on. */
function* podNames(): Generator<string, never> {
  for (let n = 0; ; n += 1) yield n < 26 ? `pod-${String.fromCharCode(97 + n)}` : `pod-${n + 1}`;
}

function endsOf(site: string, scenario: SiteScenario, nodes: readonly LabNode[]): LabEnd[] {
  const pods = nodes.flatMap((node) =>
    node.pods.map((pod): LabEnd => {
      return {
        name: pod.place,
        site,
        kind: 'pod',
        place: pod.place,
        addresses: pod.addresses,
        seenAs: pod.addresses,
      };
    }),
  );
  const hosts = nodes.slice(0, scenario.hostProcesses).map((node, at): LabEnd => {
    return {
      name: `${site}/host-${at + 1}`,
      site,
      kind: 'host',
      place: node.place,
      addresses: {},
      seenAs: node.podCidrs,
    };
  });
  return [...pods, ...hosts];
}

function placesOf(site: LabSite): Place[] {
  return [
    { name: `${site.name}/router`, kind: 'router', site: site.name },
    ...site.nodes.flatMap((node): Place[] => [
      { name: node.place, kind: node.role, site: site.name },
      ...node.pods.map((pod): Place => ({ name: pod.place, kind: 'pod', site: site.name })),
    ]),
  ];
}

function wiresOf(site: LabSite, node: LabNode): Wire[] {
  return [
    wire([`${site.name}/router`, node.name], [node.place, 'eth0'], site.scenario.mtu),
    ...node.pods.map((pod) => wire([node.place, pod.name], [pod.place, 'eth0'], site.scenario.mtu)),
  ];
}

function wire(a: readonly [string, string], b: readonly [string, string], mtu: number): Wire {
  return {
    ends: [
      { place: a[0], device: a[1] },
      { place: b[0], device: b[1] },
    ],
    mtu,
  };
}

/** Where other clusters reach a gateway of this site; nothing for one that can only dial out. */
export function endpointOf(site: LabSite, node: LabNode): { addresses: string[]; port: number } | undefined {
  const port = site.scenario.listenPort;
  if (node.ordinal === undefined || site.scenario.nat === 'dial-out') return undefined;
  if (site.scenario.nat === 'none') return { addresses: both(node.addresses), port };
  return { addresses: both(uplink(site.plan).router), port: outsidePort(node.ordinal) };
}

/** First port that a forwarding router keeps for a gateway: 64 apart, and never the inside's, so that mixing them up shows. */
export function outsidePort(ordinal: number): number {
  return 40_000 + WIREGUARD_PORTS * ordinal;
}
