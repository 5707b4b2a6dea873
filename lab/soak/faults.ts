// The faults that a soak knows, as values: what is broken, and where.
// This module is pure.

import type { GatewayPair } from './topology.ts';

/** What befalls a whole gateway. */
export const GATEWAY_KINDS = [
  'gateway-dead',
  'suspended',
  'wireguard-killed',
  'forward-drop',
  'forwarding-off',
  'workers-cut',
  'drained',
  'removed',
  'keys-rotated',
] as const;
export type GatewayKind = (typeof GATEWAY_KINDS)[number];

/** What befalls the daemon of a node of either kind. */
export const DAEMON_KINDS = ['daemon-killed', 'daemon-restarted', 'daemon-upgraded'] as const;
export type DaemonKind = (typeof DAEMON_KINDS)[number];

/** What befalls the underlay between two gateways. */
export const PATH_KINDS = [
  'black-holed',
  'one-way',
  'lossy',
  'udp-dropped',
  'udp-rejected',
  'narrow-1296',
  'narrow-1368',
  'flapping',
] as const;
export type PathKind = (typeof PATH_KINDS)[number];

export const SITE_KINDS = ['isolated', 'one-lane'] as const;
export type SiteKind = (typeof SITE_KINDS)[number];

/** What has no place. */
export const WIDE_KINDS = ['broker-gone', 'starved'] as const;
export type WideKind = (typeof WIDE_KINDS)[number];

export const KINDS = [
  ...GATEWAY_KINDS,
  ...DAEMON_KINDS,
  ...PATH_KINDS,
  ...SITE_KINDS,
  ...WIDE_KINDS,
  'device-deleted',
  'link-cut',
] as const;
export type Kind = (typeof KINDS)[number];

export type SoakFault =
  | { readonly kind: GatewayKind | DaemonKind; readonly place: string }
  | { readonly kind: PathKind; readonly path: GatewayPair }
  | { readonly kind: SiteKind; readonly site: string }
  | { readonly kind: WideKind }
  | { readonly kind: 'device-deleted'; readonly place: string; readonly device: string }
  | { readonly kind: 'link-cut'; readonly place: string; readonly worker: string };

/** Which row of the failover table each belongs to. */
export const ROW_OF: Readonly<Record<Kind, string>> = {
  'gateway-dead': 'gateway-dead',
  'wireguard-killed': 'tunnel-killed',
  'device-deleted': 'tunnel-killed',
  'daemon-killed': 'daemon-killed',
  'daemon-restarted': 'daemon-killed',
  'daemon-upgraded': 'daemon-killed',
  'black-holed': 'path-dead',
  'one-way': 'path-dead',
  lossy: 'path-dead',
  'udp-dropped': 'path-dead',
  'udp-rejected': 'path-dead',
  'forward-drop': 'gray',
  'forwarding-off': 'gray',
  'workers-cut': 'gray',
  'narrow-1296': 'mtu',
  'narrow-1368': 'mtu',
  'link-cut': 'worker-link',
  isolated: 'site-dead',
  flapping: 'flapping',
  'broker-gone': 'broker-gone',
  drained: 'planned',
  removed: 'planned',
  'one-lane': 'planned',
  'keys-rotated': 'planned',
  suspended: 'suspended',
  starved: 'starved',
};

/** `black-holed east/gw-0 ⇄ west/gw-1` */
export function faultText(fault: SoakFault): string {
  if ('path' in fault) return `${fault.kind} ${fault.path.join(' ⇄ ')}`;
  if ('site' in fault) return `${fault.kind} ${fault.site}`;
  if ('device' in fault) return `${fault.kind} ${fault.place} ${fault.device}`;
  if ('worker' in fault) return `${fault.kind} ${fault.place} ⇄ ${fault.worker}`;
  return 'place' in fault ? `${fault.kind} ${fault.place}` : fault.kind;
}

/** What no other fault may touch while this one is in force: undoing one must not mend, nor trip over, the other. */
export function touches(fault: SoakFault): readonly string[] {
  if ('path' in fault) return [fault.path.join(' ⇄ ')];
  if ('site' in fault) return [fault.site];
  if ('worker' in fault) return [fault.place, fault.worker];
  return 'place' in fault ? [fault.place] : [fault.kind];
}
