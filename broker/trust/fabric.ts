// The fabric prefixes of a clusterset: what every member's fabric addresses follow from.

import { FABRIC4_DEFAULT } from '#lib/constants';
import type { Cidr4, Cidr6 } from '#lib/ip';
import { isCidr4, isCidr6, parseCidr, prefixOf } from '#lib/ip';
import { createHash } from 'node:crypto';

/** One block of each family. */
export interface Fabric {
  readonly v4: Cidr4;
  readonly v6: Cidr6;
}

/**
 * The fabric of a clusterset: a locally assigned ULA /48 (RFC 4193 §3.1: fd, then a 40 bit global id) whose global id
 * is a hash of the clusterset id. RFC 4193 §3.2.2 hashes clock and EUI-64 to make ids unlikely to collide; the
 * clusterset id is itself the hash of a fresh key, and so every member finds the same prefix without being told.
 * @throws {SyntaxError} when `v4` is no IPv4 /10
 */
export function fabricOf(clusterset: string, v4: string = FABRIC4_DEFAULT): Fabric {
  const id = createHash('sha256').update(`isthmus-fabric-v1\0${clusterset}`).digest('hex').slice(0, 10);
  const v6 = parseCidr(`fd${id.slice(0, 2)}:${id.slice(2, 6)}:${id.slice(6, 10)}::/48`);
  const block = parseCidr(v4);
  // Ordinals, lanes, indexes and nodes take 22 bits between them.
  if (!isCidr6(v6) || !isCidr4(block) || prefixOf(block) !== 10) {
    throw new SyntaxError(`Cannot use "${v4}" as the IPv4 fabric block: it is not an IPv4 /10`);
  }
  return { v4: block, v6 };
}
