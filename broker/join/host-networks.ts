// Networks that this host stands in, as its interfaces have them.

import { networkInterfaces } from 'node:os';
import type { NetworkInterfaceInfo } from 'node:os';
import { DEVICE_PREFIX } from '#lib/constants';
import { cidrOf, contains, familyOf, parseAddress, parseCidr, prefixOf, sorted } from '#lib/ip';
import type { Cidr } from '#lib/ip';

const LINK_LOCAL = [parseCidr('fe80::/10'), parseCidr('169.254.0.0/16')];

/** Sorted. Without the loopback, link-local networks, single addresses, and our own devices. */
export function hostNetworks(interfaces: typeof networkInterfaces = networkInterfaces): Cidr[] {
  const foreign = Object.entries(interfaces()).filter(([device]) => !device.startsWith(DEVICE_PREFIX));
  const networks = foreign.flatMap(([, addresses = []]) => addresses.flatMap(networkOf));
  return sorted(new Set(networks));
}

function networkOf({ cidr, internal, address }: NetworkInterfaceInfo): Cidr[] {
  if (internal || cidr === null) return [];
  const network = cidrOf(parseAddress(address), Number(cidr.slice(cidr.indexOf('/') + 1)));
  const isSingle = prefixOf(network) === (familyOf(network) === 4 ? 32 : 128);
  return isSingle || LINK_LOCAL.some((local) => contains(local, network)) ? [] : [network];
}
