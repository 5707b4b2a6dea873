// Every fault that can be put in force somewhere in a topology.
// This module is pure.

import { DEVICE_PREFIX } from '#lib/constants';
import {
  DAEMON_KINDS,
  GATEWAY_KINDS,
  PATH_KINDS,
  SITE_KINDS,
  WIDE_KINDS,
  type Kind,
  type SoakFault,
} from './faults.ts';
import { pathsBetween, sitePairs, siteOf, type SoakTopology } from './topology.ts';

export function placings(topology: SoakTopology): SoakFault[] {
  const { sites } = topology;
  const gateways = sites.flatMap((site) => site.gateways);
  const nodes = sites.flatMap((site) => [...site.gateways, ...site.workers]);
  const paths = sitePairs(topology).flatMap(pathsBetween);
  const all: SoakFault[] = [
    ...GATEWAY_KINDS.flatMap((kind) => gateways.map((place) => ({ kind, place }))),
    ...DAEMON_KINDS.flatMap((kind) => nodes.map((place) => ({ kind, place }))),
    ...PATH_KINDS.flatMap((kind) => paths.map((path) => ({ kind, path }))),
    ...SITE_KINDS.flatMap((kind) => sites.map((site) => ({ kind, site: site.name }))),
    ...WIDE_KINDS.map((kind) => ({ kind })),
    ...gateways.flatMap((place) => devicesOf(topology, place)),
    ...sites.flatMap((site) =>
      site.gateways.flatMap((place) =>
        site.workers.map((worker) => ({ kind: 'link-cut' as const, place, worker })),
      ),
    ),
  ];
  const unknown = impossible(topology);
  return all.filter(({ kind }) => !unknown.has(kind));
}

/** One for each ordinal that a gateway of another site has, and each lane. */
function devicesOf({ sites }: SoakTopology, place: string): SoakFault[] {
  const far = sites.filter(({ name }) => name !== siteOf(place));
  const own = sites.find(({ name }) => name === siteOf(place));
  const ordinals = Math.max(0, ...far.map((site) => site.gateways.length));
  return Array.from({ length: ordinals }, (_, ordinal) =>
    Array.from({ length: own?.lanes ?? 0 }, (_, lane): SoakFault => {
      return { kind: 'device-deleted', place, device: `${DEVICE_PREFIX}${ordinal}${lane}` };
    }),
  ).flat();
}

function impossible({ sites, isUserspace }: SoakTopology): ReadonlySet<Kind> {
  const kinds = new Set<Kind>();
  if (!isUserspace) kinds.add('wireguard-killed');
  if (sites.some(({ lanes }) => lanes < 2)) kinds.add('one-lane');
  return kinds;
}
