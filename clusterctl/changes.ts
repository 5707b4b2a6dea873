// The difference between a kernel and a plan, as lines that begin with +, ~ or -.
// This module is pure.

import type { Changes, Diff, NftChange, SysctlChange } from '#lib/linux';

export interface Line {
  readonly sign: '+' | '~' | '-';
  readonly text: string;
}

/** In the order in which they would be made. Nothing to do is no lines. */
export function changeLines(changes: Changes): readonly Line[] {
  return [
    ...changes.sysctls.map(sysctl),
    ...diff('link', changes.links),
    ...diff('address', changes.addresses),
    ...diff('neighbour', changes.neighbours),
    ...diff('forwarding', changes.forwarding),
    ...diff('nexthop', changes.nexthops),
    ...diff('group', changes.groups),
    ...diff('route', changes.routes),
    ...diff('rule', changes.rules),
    ...nftables(changes.nftables),
  ];
}

/** Fields that need no label: what they hold says what they are. */
const BARE = new Set(['kind', 'name', 'destination', 'address', 'key']);
/** Fields of the read model that say how a thing was recognised, not what it is. */
const UNSAID = new Set(['ours', 'protocol', 'userspace']);

/** `route unicast 10.2.0.0/16 table 7301 metric 100 nexthop 7101002` */
export function describe(what: string, thing: object): string {
  return [what, ...Object.entries(thing).flatMap(([field, value]) => words(field, value))].join(' ');
}

function words(field: string, value: unknown): string[] {
  if (value === undefined || value === false || value === '' || UNSAID.has(field)) return [];
  if (value === true) return [field];
  return BARE.has(field) ? [show(value)] : [field, show(value)];
}

function show(value: unknown): string {
  if (Array.isArray(value)) return value.map(show).join(',');
  if (typeof value !== 'object' || value === null) return String(value);
  const inner = Object.entries(value).map(([field, part]) => `${field} ${show(part)}`);
  return `(${inner.join(' ')})`;
}

function diff<W extends object, H extends object>(what: string, { add, change, remove }: Diff<W, H>): Line[] {
  return [
    ...add.map((thing): Line => ({ sign: '+', text: describe(what, thing) })),
    ...change.map(({ from, to }): Line => ({
      sign: '~',
      text: `${describe(what, to)} ← ${differing(from, to)}`,
    })),
    ...remove.map((thing): Line => ({ sign: '-', text: describe(what, thing) })),
  ];
}

/** What differs, as it stands now. */
function differing(from: object, to: object): string {
  const wanted = new Map<string, unknown>(Object.entries(to));
  const held = Object.entries(from).filter(([field, value]) =>
    wanted.has(field) ? show(wanted.get(field)) !== show(value) : isOdd(value),
  );
  return held.length === 0 ? 'otherwise' : held.map(([field, value]) => `${field} ${show(value)}`).join(' ');
}

/** Of fields that only the read model has: a device that is down, attributes that a plan never wants. */
function isOdd(value: unknown): boolean {
  return value === false || (typeof value === 'string' && value !== '');
}

function sysctl({ key, from, to, why }: SysctlChange): Line {
  const was = from === undefined ? '' : ` ← ${from}`;
  return {
    sign: '~',
    text: `sysctl ${key} ${to}${was}${why === 'restore' ? ' (as it was before Isthmus)' : ''}`,
  };
}

const REASONS = {
  missing: 'it is missing',
  plan: 'the plan changed',
  damage: 'it was changed by hand',
} as const;

function nftables(change: NftChange | undefined): Line[] {
  if (change === undefined) return [];
  if (change.kind === 'delete') return [{ sign: '-', text: `nftables table ${change.name}` }];
  if (change.kind === 'elements') {
    return [...elements('+', change.name, change.add), ...elements('-', change.name, change.remove)];
  }
  const sign = change.reason === 'missing' ? '+' : '~';
  return [{ sign, text: `nftables table ${change.table.name}: ${REASONS[change.reason]}` }];
}

function elements(sign: '+' | '-', table: string, sets: Readonly<Record<string, readonly string[]>>): Line[] {
  return Object.entries(sets).flatMap(([set, list]) =>
    list.map((element): Line => ({ sign, text: `nftables table ${table} set ${set} element ${element}` })),
  );
}
