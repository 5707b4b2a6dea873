// A plan as text that one can read: the lines of ip, nft and wg, sorted.
// This module is pure.

import { compare } from '#lib/ip';
import type {
  InterfaceAddress,
  Link,
  Neighbour,
  NetworkState,
  Nexthop,
  NexthopGroup,
  NftTable,
  Route,
  Rule,
} from '#lib/linux';
import type { DevicePlan, HostPlan } from './host-plan.ts';

/** The whole plan; equal plans give equal text. */
export function renderPlan({ network, devices, conditions }: HostPlan): string {
  const sections: readonly (readonly [title: string, lines: readonly string[]])[] = [
    ['links', network.links.map(linkLine).sort()],
    ['addresses', network.addresses.map(addressLine).sort()],
    ['neighbours', network.neighbours.map(neighbourLine).sort()],
    ['wireguard', devices.flatMap(deviceLines)],
    ['nexthops', nexthopLines(network)],
    ['rules', [...network.rules].sort(byPriority).map(ruleLine)],
    ['routes', [...network.routes].sort(byTable).map(routeLine)],
    [
      'sysctls',
      Object.entries(network.sysctls)
        .map((pair) => pair.join('='))
        .sort(),
    ],
    ['nftables', network.nftables === undefined ? [] : tableLines(network.nftables)],
    ['conditions', conditions.map(({ code, text }) => `${code} ${text}`)],
  ];
  return sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => [`# ${title}`, ...lines, ''].join('\n'))
    .join('\n');
}

export function linkLine(link: Link): string {
  const common = `${link.name} mtu ${link.mtu} group ${link.group} type ${link.kind}`;
  if (link.kind !== 'vxlan') return common;
  return `${common} id ${link.vni} dstport ${link.port} local ${link.local} address ${link.mac}`;
}

export function addressLine({ device, address, prefix, scope, deprecated }: InterfaceAddress): string {
  return `${address}/${prefix} dev ${device} scope ${scope}${deprecated ? ' deprecated' : ''}`;
}

export function neighbourLine({ device, address, mac, outer }: Neighbour): string {
  return `${address} dev ${device} lladdr ${mac} dst ${outer}`;
}

export function nexthopLine({ id, device, via, onlink }: Nexthop): string {
  return words([`id ${id}`, via && `via ${via}`, `dev ${device}`, onlink && 'onlink']);
}

export function groupLine({ id, members, buckets }: NexthopGroup): string {
  const kind = buckets === undefined ? undefined : `type resilient buckets ${buckets}`;
  return words([`id ${id}`, `group ${members.join('/')}`, kind]);
}

export function ruleLine({ family, priority, from, mark, action }: Rule): string {
  const suppress = action !== 'unreachable' && action.suppressPrefix;
  return words([
    `${priority}: ipv${family}`,
    from && `from ${from}`,
    mark && `fwmark 0x${mark.value.toString(16)}/0x${mark.mask.toString(16)}`,
    action === 'unreachable' ? action : `lookup ${action.lookup}`,
    typeof suppress === 'number' && `suppress_prefixlength ${suppress}`,
  ]);
}

export function routeLine(route: Route): string {
  const { kind, destination, table, metric, nexthop, device, via, onlink, source, mtu } = route;
  return words([
    `table ${table}`,
    kind === 'unreachable' && kind,
    destination,
    nexthop !== undefined && `nhid ${nexthop}`,
    via && `via ${via}`,
    device && `dev ${device}`,
    onlink && 'onlink',
    source && `src ${source}`,
    metric !== 0 && `metric ${metric}`,
    mtu !== undefined && `mtu ${mtu}`,
  ]);
}

function nexthopLines({ nexthops, groups }: NetworkState): string[] {
  const byId = [...nexthops].sort((a, b) => a.id - b.id).map(nexthopLine);
  return [...byId, ...[...groups].sort((a, b) => a.id - b.id).map(groupLine)];
}

function deviceLines({ name, listenPort, fwmark, peers }: DevicePlan): string[] {
  const device = `${name} listen-port ${listenPort} fwmark 0x${fwmark.toString(16)}`;
  return [
    device,
    ...peers.map(({ publicKey, endpoint, allowedIps, keepalive }) =>
      words([
        `  peer ${publicKey}`,
        endpoint && `endpoint ${authority(endpoint.address, endpoint.port)}`,
        `allowed-ips ${allowedIps.join(',')}`,
        keepalive > 0 && `persistent-keepalive ${keepalive}`,
      ]),
    ),
  ];
}

/** With its elements where nft would show them. */
function tableLines({ name, body, sets }: NftTable): string[] {
  const filled = body.replaceAll(/^(set (\w+) \{.*)\}$/gm, (_, declaration: string, set: string) => {
    const elements = sets[set] ?? [];
    return elements.length === 0
      ? `${declaration}}`
      : `${declaration}elements = { ${elements.join(', ')} } }`;
  });
  return [`table inet ${name} {`, ...filled.split('\n').map((line) => `  ${line}`), '}'];
}

/** `203.0.113.10:51820`, `[2001:db8::10]:51820`. */
export function authority(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function byPriority(a: Rule, b: Rule): number {
  return a.family - b.family || a.priority - b.priority;
}

function byTable(a: Route, b: Route): number {
  return a.table - b.table || compare(a.destination, b.destination) || a.metric - b.metric;
}

function words(parts: readonly (string | false | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== false).join(' ');
}
