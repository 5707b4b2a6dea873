// Us to kernel: one thing, one line of `ip -batch` or `bridge -batch`.
// This module is pure.

import { BUCKET_IDLE_SECONDS, ROUTE_PROTOCOL } from '#lib/constants';
import type { Address, Cidr } from '#lib/ip';
import type { HeldForwarding, HeldNeighbour, HeldRoute } from './kernel-state.ts';
import type { InterfaceAddress, Link, Nexthop, NexthopGroup, Route, Rule } from './state.ts';

const PROTOCOL = `protocol ${ROUTE_PROTOCOL}`;

export function addLinkLines(link: Link, made: 'here' | 'elsewhere'): string[] {
  const { name, mtu, group } = link;
  const add = `link add dev ${name} ${macOf(link)}mtu ${mtu} group ${group} type ${typeOf(link)}`;
  return [...(made === 'here' ? [add] : []), ...setLinkLines(link)];
}

/** A WireGuard device gets no link-local address: kernel WireGuard has none, and a TUN device would send through it. */
export function setLinkLines({ kind, name, mtu, group }: Link): string[] {
  const quiet = kind === 'wireguard' ? [`link set dev ${name} addrgenmode none`] : [];
  return [...quiet, `link set dev ${name} mtu ${mtu} group ${group} up`];
}

function macOf(link: Link): string {
  return link.kind === 'vxlan' ? `address ${link.mac} ` : '';
}

function typeOf(link: Link): string {
  if (link.kind !== 'vxlan') return link.kind;
  return `vxlan id ${link.vni} dstport ${link.port} local ${link.local} nolearning`;
}

export function removeLinkLine({ name }: { readonly name: string }): string {
  return `link del dev ${name}`;
}

export function addressLine({ device, address, prefix, scope, deprecated }: InterfaceAddress): string {
  if (!address.includes(':')) return `addr replace ${address}/${prefix} dev ${device} scope ${scope}`;
  const lifetime = `valid_lft forever preferred_lft ${deprecated ? '0' : 'forever'}`;
  return `addr replace ${address}/${prefix} dev ${device} nodad ${lifetime}`;
}

export function removeAddressLine({ device, address, prefix }: InterfaceAddress): string {
  return `addr del ${address}/${prefix} dev ${device}`;
}

export function neighbourLine({ device, address, mac }: HeldNeighbour): string {
  return `neigh replace ${address} lladdr ${mac} dev ${device} nud permanent`;
}

export function removeNeighbourLine({ device, address }: HeldNeighbour): string {
  return `neigh del ${address} dev ${device}`;
}

export function forwardingLine({ device, mac, outer }: HeldForwarding): string {
  return `fdb replace ${mac} dev ${device} dst ${outer} self permanent`;
}

export function removeForwardingLine({ device, mac, outer }: HeldForwarding): string {
  return `fdb del ${mac} dev ${device} dst ${outer} self`;
}

export function nexthopLine(nexthop: Nexthop): string {
  return `nexthop replace id ${nexthop.id}${hopOf(nexthop)} ${PROTOCOL}`;
}

export function groupLine({ id, members, buckets }: NexthopGroup): string {
  const kind =
    buckets === undefined ? '' : ` type resilient buckets ${buckets} idle_timer ${BUCKET_IDLE_SECONDS}`;
  return `nexthop replace id ${id} group ${members.join('/')}${kind} ${PROTOCOL}`;
}

export function removeNexthopLine({ id }: { readonly id: number }): string {
  return `nexthop del id ${id}`;
}

export function routeLine(route: Route): string {
  const { kind, destination, nexthop, source, mtu, table, metric } = route;
  const type = kind === 'unicast' ? '' : `${kind} `;
  const by = nexthop === undefined ? hopOf(route) : ` nhid ${nexthop}`;
  const detail = `${source === undefined ? '' : ` src ${source}`}${mtu === undefined ? '' : ` mtu ${mtu}`}`;
  const worth = metric === 0 ? '' : ` metric ${metric}`;
  return `route replace ${type}${destination}${by}${detail} table ${table}${worth} ${PROTOCOL}`;
}

export function removeRouteLine(route: HeldRoute): string {
  const { kind, destination, nexthop, table, metric, protocol, tos } = route;
  const type = kind === 'unicast' ? '' : `${kind} `;
  const by = nexthop === undefined ? hopOf(route) : ` nhid ${nexthop}`;
  const worth = `${metric === 0 ? '' : ` metric ${metric}`}${tos === undefined ? '' : ` tos ${tos}`}`;
  return `route del ${type}${destination}${by} table ${table}${worth} protocol ${protocol}`;
}

interface Hop {
  readonly destination?: Cidr;
  readonly device?: string;
  readonly via?: Address;
  readonly onlink?: boolean;
}

/** A gateway of the other family has to say so. */
function hopOf({ destination, device, via, onlink }: Hop): string {
  const other =
    destination !== undefined && via !== undefined && destination.includes(':') !== via.includes(':');
  const family = other ? `${via.includes(':') ? 'inet6' : 'inet'} ` : '';
  const gateway = via === undefined ? '' : ` via ${family}${via}`;
  return `${gateway}${device === undefined ? '' : ` dev ${device}`}${onlink === true ? ' onlink' : ''}`;
}

export function ruleLine(verb: 'add' | 'del', { priority, from, mark, action }: Rule): string {
  const selector = from === undefined ? '' : ` from ${from}`;
  const marked = mark === undefined ? '' : ` fwmark ${hex(mark.value)}/${hex(mark.mask)}`;
  return `rule ${verb} priority ${priority}${selector}${marked} ${doesOf(action)} ${PROTOCOL}`;
}

function doesOf(action: Rule['action']): string {
  if (action === 'unreachable') return action;
  const suppress =
    action.suppressPrefix === undefined ? '' : ` suppress_prefixlength ${action.suppressPrefix}`;
  return `lookup ${action.lookup}${suppress}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
