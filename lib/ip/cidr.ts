// What one CIDR or address says of itself: family, prefix, ends, offsets.
// This module is pure.

import { blockAt, readBlock, sizeOf, widthOf, writeAddress, writeCidr } from './bits.ts';
import type { Address, Cidr, Family } from './types.ts';

export function familyOf(value: Address | Cidr): Family {
  return value.includes(':') ? 6 : 4;
}

/** Prefix length in bits. */
export function prefixOf(cidr: Cidr): number {
  return Number(cidr.slice(cidr.indexOf('/') + 1));
}

/** The address alone: a /32 or /128. */
export function addressCidr(address: Address): Cidr {
  return writeCidr(readBlock(address));
}

/**
 * The block of such a prefix that the address lies in.
 *
 * @throws {RangeError} when the family has no such prefix
 */
export function cidrOf(address: Address, prefix: number): Cidr {
  const { family, first } = readBlock(address);
  checkPrefix(family, prefix, 0);
  return writeCidr(blockAt(family, first, prefix));
}

/** The network address: all host bits zero. */
export function firstAddress(cidr: Cidr): Address {
  const { family, first } = readBlock(cidr);
  return writeAddress(family, first);
}

/** The address whose host bits are all one. */
export function lastAddress(cidr: Cidr): Address {
  const { family, last } = readBlock(cidr);
  return writeAddress(family, last);
}

/**
 * The address so many after the first.
 *
 * @throws {RangeError} when the CIDR has no such offset
 */
export function addressAt(cidr: Cidr, offset: bigint): Address {
  const { family, prefix, first } = readBlock(cidr);
  if (offset < 0n || offset >= sizeOf(family, prefix)) {
    throw new RangeError(`Cannot take address ${offset} of "${cidr}": it has ${sizeOf(family, prefix)}`);
  }
  return writeAddress(family, first + offset);
}

/**
 * How many addresses stand before it in the CIDR.
 *
 * @throws {RangeError} when the address lies outside
 */
export function offsetOf(cidr: Cidr, address: Address): bigint {
  const block = readBlock(cidr);
  const { family, first } = readBlock(address);
  if (family !== block.family || first < block.first || first > block.last) {
    throw new RangeError(`Cannot find the offset of "${address}": it lies outside "${cidr}"`);
  }
  return first - block.first;
}

/**
 * Stateless prefix translation: the same host bits under another prefix of the same length (as RFC 6296, without checksums).
 *
 * @throws {RangeError} when the prefixes differ in family or length, or the address lies outside `from`
 */
export function mapPrefix(address: Address, from: Cidr, to: Cidr): Address {
  if (familyOf(from) !== familyOf(to) || prefixOf(from) !== prefixOf(to)) {
    throw new RangeError(`Cannot map "${from}" to "${to}": they differ in family or length`);
  }
  return addressAt(to, offsetOf(from, address));
}

/** @throws {RangeError} unless least ≤ prefix ≤ the family's width */
export function checkPrefix(family: Family, prefix: number, least: number): void {
  if (Number.isInteger(prefix) && prefix >= least && prefix <= widthOf(family)) return;
  throw new RangeError(
    `Cannot use prefix length ${prefix}: it is not between ${least} and ${widthOf(family)}`,
  );
}
