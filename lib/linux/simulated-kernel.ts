// A kernel as a value, for tests: it obeys the lines of a script, and refuses what a kernel refuses.
// This module is pure.

import { parseAddress, parseCidr } from '#lib/ip';
import { addressKey, without } from './cascade.ts';
import type { NftChange } from './changes.ts';
import { fingerprint } from './fingerprint.ts';
import type { HeldGroup, HeldLink, HeldNexthop, HeldRoute, HeldRule, KernelState } from './kernel-state.ts';
import type { Step } from './script.ts';
import type { InterfaceAddress } from './state.ts';

/** What stands on something that goes, goes; what would stand on nothing is refused and noted. */
export class SimulatedKernel {
  state: KernelState;
  /** Lines that were refused. */
  readonly refused: string[] = [];

  constructor(state: KernelState) {
    this.state = state;
  }

  /** `watch` is called after every line. */
  run(steps: readonly Step[], watch: () => void = () => {}): void {
    for (const step of steps) {
      if (step.kind === 'nft') this.#nft(step.change);
      else if (step.kind === 'sysctl')
        this.#sysctl(Object.fromEntries(step.changes.map(({ key, to }) => [key, to])));
      else if (step.kind !== 'start')
        for (const { text } of step.lines) {
          this.obey(text, step.kind === 'ip6');
          watch();
        }
    }
  }

  obey(text: string, six = false): void {
    const words = text.split(' ');
    const family = six || / via \S*:/.test(text) ? 6 : 4;
    const next = OBJECTS[words[0] ?? '']?.(this.state, new Words(words), family);
    if (next === undefined) this.refused.push(text);
    else this.state = next;
  }

  #sysctl(values: Readonly<Record<string, string>>): void {
    this.state = { ...this.state, sysctls: { ...this.state.sysctls, ...values } };
  }

  #nft(change: NftChange): void {
    this.state = { ...this.state, nftables: changedTable(this.state.nftables, change) };
  }
}

/** `ip`'s own grammar: a word, and after it its value. */
class Words {
  readonly verb: string;
  readonly first: string;
  readonly #words: readonly string[];

  constructor(words: readonly string[]) {
    this.#words = words;
    this.verb = words[1] ?? '';
    this.first = words[2] ?? '';
  }

  has(word: string): boolean {
    return this.#words.includes(word);
  }

  text(word: string): string | undefined {
    const at = this.#words.indexOf(word);
    const value = at < 0 ? undefined : this.#words[at + 1];
    return value === 'inet' || value === 'inet6' ? this.#words[at + 2] : value;
  }

  number(word: string): number {
    return Number(this.text(word));
  }

  /** The part of an object that a word and its value make. */
  part<K extends string, T>(key: K, word: string, parse: (text: string) => T): Partial<Record<K, T>> {
    const text = this.text(word);
    const made: Partial<Record<K, T>> = {};
    if (text !== undefined) made[key] = parse(text);
    return made;
  }
}

/** Undefined: refused. */
type Obey = (state: KernelState, words: Words, family: 4 | 6) => KernelState | undefined;

const OBJECTS: Readonly<Record<string, Obey>> = { link, addr, neigh, fdb, nexthop, route, rule };

function hasLink(state: KernelState, name: string | undefined): boolean {
  return name === undefined || state.links.some((one) => one.name === name);
}

function link(state: KernelState, words: Words): KernelState | undefined {
  const name = words.text('dev') ?? '';
  if (words.verb === 'add')
    return hasLink(state, name) ? undefined : { ...state, links: [...state.links, newLink(words, name)] };
  if (!hasLink(state, name)) return undefined;
  if (words.verb === 'del') return without(state, { devices: new Set([name]) });
  if (words.has('addrgenmode')) return state;
  const set = { mtu: words.number('mtu'), group: words.number('group'), up: words.has('up') };
  return { ...state, links: state.links.map((one) => (one.name === name ? { ...one, ...set } : one)) };
}

function newLink(words: Words, name: string): HeldLink {
  const common = {
    name,
    mtu: words.number('mtu'),
    group: words.number('group'),
    up: false,
    userspace: false,
  };
  const kind = words.text('type');
  if (kind !== 'vxlan') return { kind: kind === 'bridge' ? 'bridge' : 'wireguard', ...common };
  const local = parseAddress(words.text('local') ?? '');
  const mac = words.text('address') ?? '';
  return { kind, ...common, vni: words.number('id'), port: words.number('dstport'), local, mac };
}

function addr(state: KernelState, words: Words): KernelState | undefined {
  const [address = '', prefix = ''] = words.first.split('/');
  const device = words.text('dev') ?? '';
  const key = addressKey({ device, address, prefix: Number(prefix) });
  const old = state.addresses.find((one) => addressKey(one) === key);
  if (words.verb === 'del') return old && without(state, { addresses: new Set([key]) });
  if (!hasLink(state, device)) return undefined;
  const made: InterfaceAddress = {
    device,
    address: parseAddress(address),
    prefix: Number(prefix),
    // Replacing changes lifetimes, not the scope.
    scope: old?.scope ?? (words.text('scope') === 'link' ? 'link' : 'global'),
    deprecated: words.text('preferred_lft') === '0',
  };
  return { ...state, addresses: [...state.addresses.filter((one) => one !== old), made] };
}

function neigh(state: KernelState, words: Words): KernelState | undefined {
  const device = words.text('dev') ?? '';
  const rest = state.neighbours.filter((one) => one.device !== device || one.address !== words.first);
  if (words.verb === 'del')
    return rest.length < state.neighbours.length ? { ...state, neighbours: rest } : undefined;
  const made = { device, address: parseAddress(words.first), mac: words.text('lladdr') ?? '' };
  return hasLink(state, device) ? { ...state, neighbours: [...rest, made] } : undefined;
}

function fdb(state: KernelState, words: Words): KernelState | undefined {
  const device = words.text('dev') ?? '';
  const rest = state.forwarding.filter((one) => one.device !== device || one.mac !== words.first);
  if (words.verb === 'del')
    return rest.length < state.forwarding.length ? { ...state, forwarding: rest } : undefined;
  const made = { device, mac: words.first, outer: parseAddress(words.text('dst') ?? '') };
  return hasLink(state, device) ? { ...state, forwarding: [...rest, made] } : undefined;
}

function nexthop(state: KernelState, words: Words, family: 4 | 6): KernelState | undefined {
  const id = words.number('id');
  const single = state.nexthops.find((one) => one.id === id);
  const group = state.groups.find((one) => one.id === id);
  if (words.verb === 'del') {
    const isThere = single !== undefined || group !== undefined;
    return isThere ? without(state, { nexthops: new Set([id]) }) : undefined;
  }
  if (words.has('group')) return single || family === 6 ? undefined : withGroup(state, words, group);
  return group ? undefined : withNexthop(state, words, family);
}

/** A group keeps its kind and size for life. */
function withGroup(state: KernelState, words: Words, old: HeldGroup | undefined): KernelState | undefined {
  const members = words.text('group')?.split('/').map(Number) ?? [];
  const made: HeldGroup = {
    id: words.number('id'),
    members,
    ...words.part('buckets', 'buckets', Number),
    ours: true,
    foreign: '',
  };
  const ids = new Set(state.nexthops.map(({ id }) => id));
  if (old !== undefined && old.buckets !== made.buckets) return undefined;
  if (!members.every((id) => ids.has(id))) return undefined;
  return { ...state, groups: [...state.groups.filter((one) => one !== old), made] };
}

function withNexthop(state: KernelState, words: Words, family: 4 | 6): KernelState | undefined {
  const made: HeldNexthop = {
    id: words.number('id'),
    family,
    device: words.text('dev') ?? '',
    ...words.part('via', 'via', parseAddress),
    ...(words.has('onlink') && { onlink: true }),
    ours: true,
  };
  if (!hasLink(state, made.device)) return undefined;
  return { ...state, nexthops: [...state.nexthops.filter(({ id }) => id !== made.id), made] };
}

function route(state: KernelState, words: Words): KernelState | undefined {
  const made = routeOf(words);
  const sameKey = (one: HeldRoute): boolean =>
    one.table === made.table && one.destination === made.destination && one.metric === made.metric;
  if (words.verb === 'del') {
    const gone = state.routes.find(
      (one) => sameKey(one) && one.nexthop === made.nexthop && one.protocol === made.protocol,
    );
    return gone && { ...state, routes: state.routes.filter((one) => one !== gone) };
  }
  const at = state.routes.findIndex(sameKey);
  const routes = at < 0 ? [...state.routes, made] : state.routes.with(at, made);
  return stands(state, made) ? { ...state, routes } : undefined;
}

function stands(state: KernelState, { nexthop, device, source }: HeldRoute): boolean {
  const hops = [...state.nexthops, ...state.groups];
  return (
    hasLink(state, device) &&
    (nexthop === undefined || hops.some(({ id }) => id === nexthop)) &&
    (source === undefined || state.addresses.some(({ address }) => address === source))
  );
}

function routeOf(words: Words): HeldRoute {
  const kind = words.first === 'unreachable' ? words.first : 'unicast';
  const destination = parseCidr(kind === 'unicast' ? words.first : (words.text(kind) ?? ''));
  const family = destination.includes(':') ? 6 : 4;
  const unsaid = family === 6 ? 1024 : 0;
  return {
    family,
    kind,
    destination,
    table: words.number('table'),
    metric: words.has('metric') ? words.number('metric') : unsaid,
    protocol: words.number('protocol'),
    ...words.part('nexthop', 'nhid', Number),
    ...words.part('device', 'dev', String),
    ...words.part('via', 'via', parseAddress),
    ...(words.has('onlink') && { onlink: true }),
    ...words.part('source', 'src', parseAddress),
    ...words.part('mtu', 'mtu', Number),
    foreign: '',
  };
}

function rule(state: KernelState, words: Words, family: 4 | 6): KernelState | undefined {
  const [value, mask = 0] = words.text('fwmark')?.split('/').map(Number) ?? [];
  const made: HeldRule = {
    family,
    priority: words.number('priority'),
    ...words.part('from', 'from', parseCidr),
    ...(value !== undefined && { mark: { value, mask } }),
    action: words.has('unreachable')
      ? 'unreachable'
      : {
          lookup: words.number('lookup'),
          ...words.part('suppressPrefix', 'suppress_prefixlength', Number),
        },
    foreign: '',
  };
  const text = JSON.stringify(made);
  const rest = state.rules.filter((one) => JSON.stringify(one) !== text);
  const isThere = rest.length < state.rules.length;
  if (words.verb === 'del') return isThere ? { ...state, rules: rest } : undefined;
  return isThere ? undefined : { ...state, rules: [...rest, made] };
}

type Table = KernelState['nftables'];

function changedTable(table: Table, change: NftChange): Table {
  if (change.kind === 'delete') return undefined;
  if (change.kind === 'replace') {
    const { name, body, sets } = change.table;
    const sorted = Object.entries(sets).map(([set, elements]) => [set, elements.toSorted()] as const);
    const seal = { body: fingerprint(body), listing: 'ours' };
    return { name, listing: 'ours', seal, sets: Object.fromEntries(sorted) };
  }
  if (table === undefined) return undefined;
  const sets: Record<string, readonly string[]> = { ...table.sets };
  for (const [set, gone] of Object.entries(change.remove))
    sets[set] = (sets[set] ?? []).filter((element) => !gone.includes(element));
  for (const [set, more] of Object.entries(change.add)) sets[set] = [...(sets[set] ?? []), ...more].sort();
  return { ...table, sets };
}
