// Kernel to us: the JSON of `ip route` and `ip rule`.
// This module is pure.

import { ROUTE_PROTOCOL } from '#lib/constants';
import type { Cidr, Family } from '#lib/ip';
import type { HeldRoute, HeldRule } from './kernel-state.ts';
import type { Item } from './json.ts';
import { addressOf, flagsOf, isItem, itemsOf, kernelCidr, need, numberOf, textOf } from './json.ts';

/** Route types by the number that `ip -N` prints; others keep their number. */
const KINDS: Readonly<Record<string, string>> = {
  '1': 'unicast',
  '6': 'blackhole',
  '7': 'unreachable',
  '8': 'prohibit',
};

/** Fields that do not tell one route from another, or are read elsewhere. */
const IGNORED = new Set([
  'type',
  'dst',
  'nhid',
  'gateway',
  'via',
  'dev',
  'table',
  'protocol',
  'scope',
  'prefsrc',
  'metric',
  'metrics',
  'flags',
  'tos',
  'pref',
  'nh_info',
  'nexthops',
  'uid',
  'expires',
  'cache',
]);

export interface Listing {
  readonly family: Family;
  /** What the listing was filtered by: `ip` leaves those fields out. */
  readonly protocol: number;
  readonly table?: number;
}

export function parseRoutes(items: readonly Item[], listing: Listing): HeldRoute[] {
  return items.flatMap((item) => (textOf(item, 'dst') === undefined ? [] : [parseRoute(item, listing)]));
}

function parseRoute(item: Item, listing: Listing): HeldRoute {
  const type = textOf(item, 'type') ?? 'unicast';
  const kind = KINDS[type] ?? type;
  return {
    family: listing.family,
    kind,
    destination: destinationOf(need(textOf(item, 'dst'), 'dst'), listing.family),
    table: numberOf(item, 'table') ?? need(listing.table, 'table'),
    metric: numberOf(item, 'metric') ?? 0,
    protocol: numberOf(item, 'protocol') ?? listing.protocol,
    // An unreachable IPv6 route shows device lo, which nobody asked for.
    ...(kind === 'unicast' ? hopOf(item) : {}),
    ...detailOf(item),
    foreign: foreignOf(item),
  };
}

function detailOf(item: Item): Pick<HeldRoute, 'source' | 'mtu' | 'tos'> {
  const mtu = metricsOf(item).get('mtu');
  const tos = numberOf(item, 'tos') ?? 0;
  const source = addressOf(item, 'prefsrc');
  return {
    ...(source !== undefined && { source }),
    ...(typeof mtu === 'number' && { mtu }),
    ...(tos !== 0 && { tos }),
  };
}

/** Behind a nexthop object, device and gateway are the object's. */
function hopOf(item: Item): Pick<HeldRoute, 'nexthop' | 'device' | 'via' | 'onlink'> {
  const nexthop = numberOf(item, 'nhid');
  if (nexthop !== undefined) return { nexthop };
  const device = textOf(item, 'dev');
  const other = isItem(item['via']) ? addressOf(item['via'], 'host') : undefined;
  const via = addressOf(item, 'gateway') ?? other;
  return {
    ...(device !== undefined && { device }),
    ...(via !== undefined && { via }),
    ...(flagsOf(item).includes('onlink') && { onlink: true }),
  };
}

function metricsOf(item: Item): ReadonlyMap<string, unknown> {
  return new Map(itemsOf(item, 'metrics').flatMap((metric) => Object.entries(metric)));
}

function foreignOf(item: Item): string {
  const strange = Object.keys(item).filter((key) => !IGNORED.has(key));
  const metrics = [...metricsOf(item).keys()].filter((key) => key !== 'mtu');
  const hops = item['nhid'] === undefined && item['nexthops'] !== undefined ? ['nexthops'] : [];
  return [...strange, ...metrics, ...hops].sort().join(' ');
}

/** `default` and host routes come without a prefix length. */
function destinationOf(text: string, family: Family): Cidr {
  if (text === 'default') return kernelCidr(family === 4 ? '0.0.0.0/0' : '::/0');
  return kernelCidr(text.includes('/') ? text : `${text}/${family === 4 ? 32 : 128}`);
}

const RULE_FIELDS = new Set([
  'priority',
  'src',
  'srclen',
  'fwmark',
  'fwmask',
  'table',
  'action',
  'suppress_prefixlen',
  'protocol',
]);

/** Rules with our protocol number. */
export function parseRules(items: readonly Item[], family: Family): HeldRule[] {
  return items.flatMap((item) =>
    numberOfProtocol(item) === ROUTE_PROTOCOL ? [parseRule(item, family)] : [],
  );
}

/** "kernel" and other names are not ours: ours is a number that has no name. */
function numberOfProtocol(item: Item): number {
  const protocol = item['protocol'];
  return typeof protocol === 'string' && !/^\d+$/.test(protocol) ? -1 : (numberOf(item, 'protocol') ?? -1);
}

function parseRule(item: Item, family: Family): HeldRule {
  const from = sourceOf(item);
  const mark = numberOf(item, 'fwmark');
  const action = actionOf(item);
  const strange = Object.keys(item).filter((key) => !RULE_FIELDS.has(key));
  return {
    family,
    priority: need(numberOf(item, 'priority'), 'priority'),
    ...(from !== undefined && { from }),
    ...(mark !== undefined && { mark: { value: mark, mask: numberOf(item, 'fwmask') ?? 0xffffffff } }),
    action: action ?? { lookup: 0 },
    foreign: [...strange, ...(action === undefined ? ['action'] : [])].sort().join(' '),
  };
}

/** Undefined for an action that a plan never wants. */
function actionOf(item: Item): HeldRule['action'] | undefined {
  const action = textOf(item, 'action');
  if (action === 'unreachable' || action === '7') return 'unreachable';
  const lookup = numberOf(item, 'table');
  if (lookup === undefined) return undefined;
  const suppressPrefix = numberOf(item, 'suppress_prefixlen');
  return { lookup, ...(suppressPrefix !== undefined && { suppressPrefix }) };
}

function sourceOf(item: Item): Cidr | undefined {
  const text = textOf(item, 'src');
  if (text === undefined || text === 'all') return undefined;
  return kernelCidr(`${text}/${numberOf(item, 'srclen') ?? (text.includes(':') ? 128 : 32)}`);
}
