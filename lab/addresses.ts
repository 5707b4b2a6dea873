// The lab's address plan: every address follows from a site's place in the scenario, and a node's number within the site.
// This module is pure.

/** One address of each family that is present. */
export interface Pair {
  readonly v4?: string;
  readonly v6?: string;
}

/** What a site's addresses follow from. */
export interface SitePlan {
  /** 1 for the scenario's first site. */
  readonly index: number;
  readonly underlay: 'v4' | 'v6' | 'dual';
  readonly pods: 'v4' | 'v6' | 'dual';
  /** The site's router translates: its nodes have private addresses. */
  readonly translated: boolean;
  readonly podNetwork: number;
}

export type Families = 'v4' | 'v6' | 'dual';

/** Leaves out the families that are not wanted. */
export function pick(families: Families, v4: string, v6: string): Pair {
  return { ...(families !== 'v6' && { v4 }), ...(families !== 'v4' && { v6 }) };
}

/** The values of a pair, IPv4 first. */
export function both(pair: Pair): string[] {
  return [pair.v4, pair.v6].filter((text) => text !== undefined);
}

/** Workers are numbered from 1, gateways from 200: the number stands in every address of the node. */
export const FIRST_GATEWAY = 200;
const ROUTER = 254;

/** A node on its site's network. 198.18.0.0/15 is for benchmarks (RFC 2544), 2001:db8::/32 for documents (RFC 3849): neither is anybody's. */
export function lanAddress(site: SitePlan, number: number): Pair {
  return site.translated
    ? pick(site.underlay, `192.168.${site.index}.${number}`, `fd00:db8:${site.index}::${number}`)
    : pick(site.underlay, `198.18.${site.index}.${number}`, `2001:db8:${site.index}::${number}`);
}

/** The router on its site's network: the nodes' default route. */
export function routerAddress(site: SitePlan): Pair {
  return lanAddress(site, ROUTER);
}

export function lanNetwork(site: SitePlan): Pair {
  const { v4, v6 } = lanAddress(site, 0);
  return {
    ...(v4 !== undefined && { v4: `${v4}/24` }),
    ...(v6 !== undefined && { v6: `${v6.slice(0, -1)}/64` }),
  };
}

/** Both ends of the line between the internet and a site's router. */
export function uplink(site: SitePlan): { readonly internet: Pair; readonly router: Pair } {
  return {
    internet: pick(site.underlay, `198.19.${site.index}.1`, `2001:db8:ff00:${site.index}::1`),
    router: pick(site.underlay, `198.19.${site.index}.2`, `2001:db8:ff00:${site.index}::2`),
  };
}

/** The line to the broker's host; 198.19.255.2 in every lab. */
export const BROKER_LINE = {
  internet: { v4: '198.19.255.1', v6: '2001:db8:ff01::1' },
  broker: { v4: '198.19.255.2', v6: '2001:db8:ff01::2' },
} as const;

/** The next hop of last resort between nodes: link-local, so it is there whatever the underlay's family is. */
export function linkLocal(number: number): string {
  return `fe80::73:${number}`;
}

export function sitePods(site: SitePlan): Pair {
  return pick(site.pods, `10.${site.podNetwork}.0.0/16`, `fd10:${site.podNetwork}::/32`);
}

export function nodePods(site: SitePlan, number: number): Pair {
  return pick(site.pods, `10.${site.podNetwork}.${number}.0/24`, `fd10:${site.podNetwork}:${number}::/64`);
}

/** Host 1 is the node itself, 2 its first pod. */
export function podAddress(site: SitePlan, number: number, host: number): Pair {
  return pick(
    site.pods,
    `10.${site.podNetwork}.${number}.${host}`,
    `fd10:${site.podNetwork}:${number}::${host}`,
  );
}
