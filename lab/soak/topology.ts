// What a soak has to know of its lab to choose what to break, and what that may cost.
// This module is pure.

import type { Layout } from '../layout.ts';

export interface SoakSite {
  readonly name: string;
  /** `east/gw-0` … */
  readonly gateways: readonly string[];
  readonly workers: readonly string[];
  readonly lanes: number;
}

export interface SoakTopology {
  readonly sites: readonly SoakSite[];
  /** WireGuard runs in processes, which can be killed. */
  readonly isUserspace: boolean;
}

/** Two gateways of different sites, that of the first site first. */
export type GatewayPair = readonly [string, string];

/** `isUserspace` is what a kernel can, which no layout says. */
export function topologyOf(layout: Pick<Layout, 'sites'>, isUserspace: boolean): SoakTopology {
  const sites = layout.sites.map(({ name, nodes, scenario }): SoakSite => {
    const places = (wanted: string): string[] =>
      nodes.flatMap(({ role, place }) => (role === wanted ? [place] : []));
    return { name, gateways: places('gateway'), workers: places('worker'), lanes: scenario.lanes };
  });
  return { sites, isUserspace };
}

/** Each two sites once. */
export function sitePairs({ sites }: SoakTopology): (readonly [SoakSite, SoakSite])[] {
  return sites.flatMap((site, at) => sites.slice(at + 1).map((other) => [site, other] as const));
}

/** Each path between two sites once. */
export function pathsBetween([a, b]: readonly [SoakSite, SoakSite]): GatewayPair[] {
  return a.gateways.flatMap((from) => b.gateways.map((to) => [from, to] as const));
}

/** `east/gw-0` → `east` */
export function siteOf(place: string): string {
  return place.slice(0, place.indexOf('/'));
}
