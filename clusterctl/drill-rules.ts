// What a drill cuts off, as an nftables table whose elements expire: the kernel ends the failure by itself.
// This module is pure.

import { DRILL_TABLE, KNOCK_PORT, PROBE_PORT, VXLAN_PORT } from '#lib/constants';
import type { Address } from '#lib/ip';
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

/** What a set's elements are compared with in packets that come in, and in those that go out. */
interface DropSet {
  readonly type: string;
  readonly come: readonly string[];
  readonly go: readonly string[];
}

const LINK_PORTS = `{ ${[PROBE_PORT, KNOCK_PORT, VXLAN_PORT].join(', ')} }`;
const IP = { 4: 'ip', 6: 'ip6' } as const;

/** The whole transaction; refused by the kernel where a table of that name stands. */
export function drillTable(cut: Cut, seconds: number): string {
  const sets = Object.entries(elementsOf(cut)).filter(([, elements]) => elements.length > 0);
  const rules = sets.map(([name]) => ({ name, ...dropSet(name) }));
  return [
    `create table inet ${DRILL_TABLE}`,
    `table inet ${DRILL_TABLE} {`,
    ...sets.map(([name, elements]) => {
      const held = elements.map((element) => `${element} timeout ${seconds}s`).join(', ');
      return `  set ${name} { type ${dropSet(name).type}; flags timeout; elements = { ${held} }; }`;
    }),
    ...chain(
      'input',
      rules.flatMap(({ name, come }) => come.map((match) => match.replace('@', `@${name}`))),
    ),
    ...chain(
      'output',
      rules.flatMap(({ name, go }) => go.map((match) => match.replace('@', `@${name}`))),
    ),
    '}',
    '',
  ].join('\n');
}

function chain(hook: 'input' | 'output', matches: readonly string[]): string[] {
  const rules = matches.map((match) => `    ${match} drop`);
  return [`  chain ${hook} {`, `    type filter hook ${hook} priority raw;`, ...rules, '  }'];
}

function elementsOf({ tunnels = [], ports = [], nodes = [], servers = [] }: Cut): Record<string, string[]> {
  const passing = tunnels.map(({ port, peer }) => ({
    address: peer.address,
    element: `${port} . ${peer.address} . ${peer.port}`,
  }));
  const listening = servers.map(({ address, port }) => ({ address, element: `${address} . ${port}` }));
  const plain = nodes.map((address) => ({ address, element: address }));
  return {
    ...byFamily('tunnels', passing),
    ports: [...new Set(ports.map(String))],
    ...byFamily('nodes', plain),
    ...byFamily('servers', listening),
  };
}

function byFamily(
  name: string,
  elements: readonly { readonly address: Address; readonly element: string }[],
): Record<string, string[]> {
  const of = (family: 4 | 6): string[] => [
    ...new Set(elements.filter(({ address }) => familyOf(address) === family).map(({ element }) => element)),
  ];
  return { [`${name}4`]: of(4), [`${name}6`]: of(6) };
}

function dropSet(set: string): DropSet {
  const [name, family] = set.endsWith('4')
    ? ([set.slice(0, -1), 4] as const)
    : ([set.replace(/6$/, ''), 6] as const);
  const ip = IP[family];
  const address = `ipv${family}_addr`;
  switch (name) {
    case 'tunnels':
      return {
        type: `inet_service . ${address} . inet_service`,
        come: [`udp dport . ${ip} saddr . udp sport @`],
        go: [`udp sport . ${ip} daddr . udp dport @`],
      };
    case 'nodes':
      return {
        type: address,
        come: ['dport', 'sport'].map((port) => `${ip} saddr @ udp ${port} ${LINK_PORTS}`),
        go: ['dport', 'sport'].map((port) => `${ip} daddr @ udp ${port} ${LINK_PORTS}`),
      };
    case 'servers':
      return {
        type: `${address} . inet_service`,
        come: [`${ip} saddr . tcp sport @`],
        go: [`${ip} daddr . tcp dport @`],
      };
    default:
      return { type: 'inet_service', come: ['udp dport @'], go: ['udp sport @'] };
  }
}
