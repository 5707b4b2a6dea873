// What this host's daemon has to probe besides tunnels, and to answer.
// This module is pure.

import { LINK_DEVICE, SIBLING_DEVICE } from '#lib/constants';
import type { Address } from '#lib/ip';
import { addressAt } from '#lib/ip';
import { peerPrefix } from './fabric.ts';
import type { Node } from './fleet.ts';
import type { LinkPlan } from './host-plan.ts';
import { nameOn } from './link.ts';
import { addressOf } from './standpoint.ts';
import type { Standpoint } from './standpoint.ts';

/** From a worker to its gateways, from a gateway to the nodes behind it and to its siblings. */
export function linksOf(standpoint: Standpoint): LinkPlan[] {
  const { node: self, own } = standpoint;
  const others = own.nodes.filter(({ name }) => name !== self.name);
  return others
    .filter(({ role }) => role === 'gateway' || self.role === 'gateway')
    .flatMap((node) => linkTo(standpoint, node) ?? []);
}

/**
 * By the device that carries packets, so that it is probed as well; on a VXLAN device by its link-local names, which
 * only kernels with IPv6 have.
 */
function linkTo(standpoint: Standpoint, node: Node): LinkPlan | undefined {
  const { node: self, kernel } = standpoint;
  const device = deviceTo(standpoint, node);
  const names = [self, node].map((each) => nameOn(standpoint, each, 6));
  const ends = [self, node].map((each) => plainAddress(standpoint, [self, node], each));
  const encapsulated = device !== undefined && kernel.includes(6);
  const [local, remote] = encapsulated ? names.map((name) => name && `${name}%${device}`) : ends;
  if (local === undefined || remote === undefined) return undefined;
  const { name, ordinal } = node;
  return { node: name, ...(ordinal === undefined ? {} : { ordinal }), local, remote };
}

/** Undefined: on the link itself. */
function deviceTo({ node: self, families, way }: Standpoint, node: Node): string | undefined {
  if (self.role === 'gateway' && node.role === 'gateway') return SIBLING_DEVICE;
  return families.some((family) => way[family].kind === 'vxlan') ? LINK_DEVICE : undefined;
}

/** In a family that both have. */
function plainAddress({ kernel }: Standpoint, both: readonly Node[], node: Node): Address | undefined {
  const family = kernel.find((each) => both.every((one) => addressOf(one, each) !== undefined));
  return family && addressOf(node, family);
}

/** The `number`-th transit responder behind the gateway with this fabric address, counted from 1. */
export function responderAddress(gateway: Address, number: number): Address {
  return addressAt(peerPrefix(gateway), BigInt(number));
}
