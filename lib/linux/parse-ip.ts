// Kernel to us: the JSON of `ip addr`, `ip neigh`, `bridge fdb`, `ip nexthop`.
// This module is pure.

import { BUCKET_IDLE_SECONDS } from '#lib/constants';
import type { HeldForwarding, HeldGroup, HeldLink, HeldNeighbour, HeldNexthop } from './kernel-state.ts';
import type { InterfaceAddress } from './state.ts';
import type { Item } from './json.ts';
import { addressOf, flagsOf, isItem, itemsOf, kernelAddress, need, numberOf, textOf } from './json.ts';
import { isOurDevice, isOurNexthop, isTunnelDevice } from './own.ts';

/** Devices of ours. One that bears our name and is of no kind that we make is a stranger's. */
export function parseLinks(listing: readonly Item[]): HeldLink[] {
  return listing.flatMap((item) => {
    const name = textOf(item, 'ifname');
    return name === undefined || !isOurDevice(name) ? [] : parseLink(item, name);
  });
}

function parseLink(item: Item, name: string): HeldLink[] {
  const info = item['linkinfo'];
  if (!isItem(info)) return [];
  const common = {
    name,
    mtu: need(numberOf(item, 'mtu'), 'mtu'),
    group: groupOf(item),
    up: flagsOf(item).includes('UP'),
    userspace: false,
  };
  const kind = textOf(info, 'info_kind');
  if (kind === 'wireguard' || kind === 'bridge') return [{ kind, ...common }];
  if (kind === 'vxlan') return [{ kind, ...common, ...vxlanOf(info, item) }];
  return kind === 'tun' && isTunnelDevice(name) ? [{ kind: 'wireguard', ...common, userspace: true }] : [];
}

function vxlanOf(
  info: Item,
  item: Item,
): Pick<Extract<HeldLink, { kind: 'vxlan' }>, 'vni' | 'port' | 'local' | 'mac'> {
  const data = info['info_data'];
  if (!isItem(data)) throw new SyntaxError('Cannot parse a VXLAN device: field "info_data" is missing');
  return {
    vni: need(numberOf(data, 'id'), 'id'),
    port: need(numberOf(data, 'port'), 'port'),
    // A stranger's VXLAN under our name may have none; it is then made anew, as after any other difference.
    local: addressOf(data, 'local') ?? addressOf(data, 'local6') ?? kernelAddress('0.0.0.0'),
    mac: need(textOf(item, 'address'), 'address'),
  };
}

/** "default" is group 0 where names are shown in spite of -N. */
function groupOf(item: Item): number {
  return item['group'] === 'default' ? 0 : (numberOf(item, 'group') ?? 0);
}

/** Addresses on our devices. */
export function parseAddresses(listing: readonly Item[]): InterfaceAddress[] {
  return listing.flatMap((item) => {
    const device = textOf(item, 'ifname');
    if (device === undefined || !isOurDevice(device)) return [];
    return itemsOf(item, 'addr_info').flatMap((info) => {
      const address = addressOf(info, 'local');
      if (address === undefined) return [];
      const scope = textOf(info, 'scope');
      return [
        {
          device,
          address,
          prefix: need(numberOf(info, 'prefixlen'), 'prefixlen'),
          scope: scope === 'link' || scope === '253' ? 'link' : 'global',
          deprecated: info['preferred_life_time'] === 0,
        } as const,
      ];
    });
  });
}

/** Permanent neighbours on our devices. */
export function parseNeighbours(listing: readonly Item[]): HeldNeighbour[] {
  return listing.flatMap((item) => {
    const device = textOf(item, 'dev');
    const mac = textOf(item, 'lladdr');
    if (device === undefined || mac === undefined || !isOurDevice(device)) return [];
    return [{ device, address: need(addressOf(item, 'dst'), 'dst'), mac }];
  });
}

/** Entries of our VXLAN devices that name an outer address. */
export function parseForwarding(listing: readonly Item[]): HeldForwarding[] {
  return listing.flatMap((item) => {
    const device = textOf(item, 'ifname');
    const outer = textOf(item, 'dst');
    if (device === undefined || outer === undefined || !isOurDevice(device)) return [];
    return [{ device, mac: need(textOf(item, 'mac'), 'mac'), outer: kernelAddress(outer) }];
  });
}

/**
 * Nexthop objects and groups of ours, and any whose id a plan may want. A device-only nexthop does not show its
 * family: `six` are the ids that a listing of IPv6 alone holds.
 */
export function parseNexthops(
  listing: readonly Item[],
  six: ReadonlySet<number>,
): { nexthops: HeldNexthop[]; groups: HeldGroup[] } {
  const nexthops: HeldNexthop[] = [];
  const groups: HeldGroup[] = [];
  for (const item of listing) {
    const id = numberOf(item, 'id');
    if (id === undefined) continue;
    const ours = isOurNexthop(id, numberOf(item, 'protocol') ?? 0);
    if (item['group'] !== undefined) groups.push(parseGroup(item, id, ours));
    else nexthops.push(parseNexthop(item, id, { ours, six: six.has(id) }));
  }
  return { nexthops, groups };
}

function parseNexthop(item: Item, id: number, know: { ours: boolean; six: boolean }): HeldNexthop {
  const via = addressOf(item, 'gateway') ?? viaOf(item);
  return {
    id,
    family: know.six ? 6 : 4,
    device: textOf(item, 'dev') ?? '',
    ...(via !== undefined && { via }),
    ...(flagsOf(item).includes('onlink') && { onlink: true }),
    ours: know.ours,
  };
}

/** `"via": {"family": "inet6", "host": "fe80::1"}`: a gateway of the other family. */
function viaOf(item: Item): HeldNexthop['via'] {
  const via = item['via'];
  return isItem(via) ? addressOf(via, 'host') : undefined;
}

function parseGroup(item: Item, id: number, ours: boolean): HeldGroup {
  const members = itemsOf(item, 'group');
  const weights = members.filter((member) => (numberOf(member, 'weight') ?? 1) !== 1).length;
  const resilient = isItem(item['resilient_args']) ? item['resilient_args'] : undefined;
  const buckets = resilient === undefined ? undefined : numberOf(resilient, 'buckets');
  const idle = resilient === undefined ? BUCKET_IDLE_SECONDS : numberOf(resilient, 'idle_timer');
  const foreign = [weights > 0 ? 'weights' : '', idle === BUCKET_IDLE_SECONDS ? '' : `idle ${idle}`];
  return {
    id,
    members: members.map((member) => need(numberOf(member, 'id'), 'id')),
    ...(buckets !== undefined && { buckets }),
    ours,
    foreign: foreign.join(''),
  };
}
