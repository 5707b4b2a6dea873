// Refuses a wanted state that could not be recognised again in a kernel.
// This module is pure.

import { NEXTHOP_BASE, NEXTHOP_LAST } from '#lib/constants';
import { isOurDevice, OUR_TABLES } from './own.ts';
import type { NetworkState } from './state.ts';

/** Throws RangeError for a thing that would be a stranger to the next apply. */
export function checkWanted(wanted: NetworkState): void {
  for (const { name } of wanted.links) checkDevice(name, 'make');
  for (const { device, address } of wanted.addresses) checkDevice(device, `put address ${address} on`);
  for (const { device, address } of wanted.neighbours) checkDevice(device, `put neighbour ${address} on`);
  checkNexthops(wanted);
  for (const { table, destination } of wanted.routes)
    if (!OUR_TABLES.includes(table))
      throw new RangeError(`Cannot route "${destination}": table ${table} is not one of ours`);
}

function checkNexthops(wanted: NetworkState): void {
  for (const { id } of [...wanted.nexthops, ...wanted.groups])
    if (id < NEXTHOP_BASE || id > NEXTHOP_LAST)
      throw new RangeError(`Cannot make nexthop "${id}": it is outside ${NEXTHOP_BASE}–${NEXTHOP_LAST}`);
  for (const { id, members } of wanted.groups)
    if (members.length === 0) throw new RangeError(`Cannot make nexthop group "${id}": it has no members`);
}

function checkDevice(name: string, action: string): void {
  if (!isOurDevice(name))
    throw new RangeError(`Cannot ${action} device "${name}": its name does not say that it is ours`);
}
