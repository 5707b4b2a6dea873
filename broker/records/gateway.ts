// What a gateway says of itself: its keys, and where it can be reached.

import { MAX_GATEWAYS, MAX_LANES, WIREGUARD_PORTS } from '#lib/constants';
import type { Address, Cidr } from '#lib/ip';
import { familyOf, parseAddress } from '#lib/ip';
import type { PublicKey } from '#lib/wireguard';
import * as v from 'valibot';
import { cidrs, integer } from '../trust/header.ts';

/** Major version of the schema below. */
export const GATEWAY_SCHEMA = 1;
/** Longest gateway record before inflating, in bytes: eight keys, two addresses and 128 CIDRs take 6 KiB. */
export const GATEWAY_LIMIT = 8192;

/** One gateway, as its cluster's record describes it. */
export interface GatewayRecord {
  readonly ordinal: number;
  /** One WireGuard key a lane. */
  readonly keys: readonly PublicKey[];
  /** Absent: it can only dial out. */
  readonly endpoint?: { readonly addresses: readonly Address[]; readonly port: number };
  /**
   * What it forwards to. Peers go by the certificate; this is stated so that a gateway whose site description claims
   * more than its certificate gives is refused and reported, rather than half believed.
   */
  readonly cidrs: readonly Cidr[];
  /** Lowest and highest major schema of gateway records that it reads. */
  readonly reads: readonly [number, number];
}

const KEY = v.custom<PublicKey>((input) => typeof input === 'string' && isWireguardKey(input), 'is no key');
const ADDRESS = v.custom<Address>(
  (input) => typeof input === 'string' && isCanonical(input),
  'is no address',
);

const ENDPOINT = v.object({
  addresses: v.pipe(
    v.array(ADDRESS),
    v.minLength(1),
    v.check((all) => new Set(all.map(familyOf)).size === all.length, 'has two addresses of one family'),
  ),
  port: integer(1, 65_536 - WIREGUARD_PORTS),
});

export const GATEWAY: v.GenericSchema<unknown, GatewayRecord> = v.object({
  ordinal: integer(0, MAX_GATEWAYS - 1),
  keys: v.pipe(
    v.array(KEY),
    v.minLength(1),
    v.maxLength(MAX_LANES),
    v.check((all) => new Set(all).size === all.length, 'has one key for two lanes'),
  ),
  endpoint: v.exactOptional(ENDPOINT),
  cidrs: cidrs(),
  reads: v.tuple([integer(1, 65_535), integer(1, 65_535)]),
});

/** Canonical base64 of 32 bytes that are not all zero. */
function isWireguardKey(input: string): boolean {
  const bytes = Buffer.from(input, 'base64');
  return bytes.length === 32 && bytes.toString('base64') === input && bytes.some((byte) => byte !== 0);
}

function isCanonical(input: string): boolean {
  try {
    return parseAddress(input) === input;
  } catch {
    return false;
  }
}
