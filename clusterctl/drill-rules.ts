// What a drill cuts off, as an nftables table whose elements expire: the kernel ends the failure by itself.
// This module is pure.

import { DRILL_TABLE, KNOCK_PORT, PROBE_PORT, VXLAN_PORT } from '#lib/constants';
import type { Address, Family } from '#lib/ip';
import { familyOf } from '#lib/ip';
import type { Endpoint } from '#lib/wireguard';

/** Packets that disappear, both ways. */
export interface Cut {
  /** Outer packets of tunnels: from an own UDP port to one end of another cluster. */
  readonly tunnels?: readonly { readonly port: number; readonly peer: Endpoint }[];
  /** Own UDP ports that nothing passes. */
  readonly ports?: readonly number[];
  /** Nodes of the own cluster with which neither probes nor encapsulated packets are exchanged. */
  readonly nodes?: readonly Address[];
  /** TCP servers. */
  readonly servers?: readonly Endpoint[];
}

/** Ports are of no family. */
type Named =
  | { readonly kind: 'ports'; readonly family?: undefined }
  | { readonly kind: 'tunnels' | 'nodes' | 'servers'; readonly family: Family };

type DropSet = Named & { readonly elements: readonly string[] };

/** What a set holds, and what of packets that come in, and of those that go out, is compared with it. */
interface Shape {
  readonly type: string;
  readonly come: readonly string[];
  readonly go: readonly string[];
}

const LINK_PORTS = `{ ${[PROBE_PORT, KNOCK_PORT, VXLAN_PORT].join(', ')} }`;
const IP = { 4: 'ip', 6: 'ip6' } as const;

/** The whole transaction; refused by the kernel where a table of that name stands. */
export function drillTable(cut: Cut, seconds: number): string {
  const sets = setsOf(cut).map((set) => {
    const name = nameOf(set);
    return { name, elements: set.elements, ...shapeOf(set, `@${name}`) };
  });
  return [
    `create table inet ${DRILL_TABLE}`,
    `table inet ${DRILL_TABLE} {`,
    ...sets.map(({ name, type, elements }) => {
      const held = elements.map((element) => `${element} timeout ${seconds}s`).join(', ');
      return `  set ${name} { type ${type}; flags timeout; elements = { ${held} }; }`;
    }),
    ...chain(
      'input',
      sets.flatMap(({ come }) => come),
    ),
    ...chain(
      'output',
      sets.flatMap(({ go }) => go),
    ),
    '}',
    '',
  ].join('\n');
}

function chain(hook: 'input' | 'output', matches: readonly string[]): string[] {
  const rules = matches.map((match) => `    ${match} drop`);
  return [`  chain ${hook} {`, `    type filter hook ${hook} priority raw;`, ...rules, '  }'];
}

/** Those that hold something. */
function setsOf({ tunnels = [], ports = [], nodes = [], servers = [] }: Cut): DropSet[] {
  const passing = tunnels.map(({ port, peer }) => ({
    address: peer.address,
    element: `${port} . ${peer.address} . ${peer.port}`,
  }));
  const listening = servers.map(({ address, port }) => ({ address, element: `${address} . ${port}` }));
  const plain = nodes.map((address) => ({ address, element: address }));
  const sets: DropSet[] = [
    ...byFamily('tunnels', passing),
    { kind: 'ports', elements: unique(ports.map(String)) },
    ...byFamily('nodes', plain),
    ...byFamily('servers', listening),
  ];
  return sets.filter(({ elements }) => elements.length > 0);
}

function byFamily(
  kind: 'tunnels' | 'nodes' | 'servers',
  all: readonly { readonly address: Address; readonly element: string }[],
): DropSet[] {
  return ([4, 6] as const).map((family) => {
    const own = all.filter(({ address }) => familyOf(address) === family);
    return { kind, family, elements: unique(own.map(({ element }) => element)) };
  });
}

function unique(list: readonly string[]): string[] {
  return [...new Set(list)];
}

function nameOf({ kind, family }: Named): string {
  return `${kind}${family ?? ''}`;
}

function shapeOf(set: Named, at: string): Shape {
  if (set.kind === 'ports')
    return { type: 'inet_service', come: [`udp dport ${at}`], go: [`udp sport ${at}`] };
  return SHAPES[set.kind]({ at, ip: IP[set.family], address: `ipv${set.family}_addr` });
}

/** The set, and what its family is called in matches and in types. */
interface Terms {
  readonly at: string;
  readonly ip: 'ip' | 'ip6';
  readonly address: string;
}

const SHAPES: Readonly<Record<Exclude<Named['kind'], 'ports'>, (terms: Terms) => Shape>> = {
  tunnels: ({ at, ip, address }) => ({
    type: `inet_service . ${address} . inet_service`,
    come: [`udp dport . ${ip} saddr . udp sport ${at}`],
    go: [`udp sport . ${ip} daddr . udp dport ${at}`],
  }),
  nodes: ({ at, ip, address }) => ({
    type: address,
    come: ['dport', 'sport'].map((port) => `${ip} saddr ${at} udp ${port} ${LINK_PORTS}`),
    go: ['dport', 'sport'].map((port) => `${ip} daddr ${at} udp ${port} ${LINK_PORTS}`),
  }),
  servers: ({ at, ip, address }) => ({
    type: `${address} . inet_service`,
    come: [`${ip} saddr . tcp sport ${at}`],
    go: [`${ip} daddr . tcp dport ${at}`],
  }),
};
