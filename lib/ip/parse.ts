// The boundary: text from outside becomes an address or CIDR, or is refused with the reason.
// This module is pure.

import { isIP } from 'node:net';
import IPCIDR from 'ip-cidr';
import { blockAt, readBits, widthOf, writeAddress, writeCidr } from './bits.ts';
import type { Address, Address4, Address6, Cidr, Cidr4, Cidr6, Family } from './types.ts';

/** Longest text worth looking at: an IPv6 address with embedded IPv4 and a prefix. */
const LONGEST = 49;
const MAPPED = 0xffffn;

/**
 * Reads an address of either family: strict dotted quad, or any RFC 4291 text, which comes out as RFC 5952 has it.
 * IPv4-mapped IPv6 is refused rather than unmapped: the same packets would have two spellings of different families.
 *
 * @throws {SyntaxError} with the reason
 */
export function parseAddress(text: string): Address {
  const { family, value } = read(text, 'address', text);
  return writeAddress(family, value);
}

/**
 * Reads a CIDR. Host bits are cleared: `10.0.0.5/16` is `10.0.0.0/16`.
 *
 * @throws {SyntaxError} with the reason
 */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf('/');
  if (slash < 0) throw refused('CIDR', text, 'it has no prefix length, write for example 10.0.0.0/16');
  const { family, value } = read(text.slice(0, slash), 'CIDR', text);
  const digits = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(digits)) {
    throw refused('CIDR', text, 'its prefix length is not a plain decimal number');
  }
  const prefix = Number(digits);
  if (prefix > widthOf(family)) {
    throw refused('CIDR', text, `its prefix length is more than ${widthOf(family)}`);
  }
  return writeCidr(blockAt(family, value, prefix));
}

export function isAddress4(address: Address): address is Address4 {
  return !address.includes(':');
}

export function isAddress6(address: Address): address is Address6 {
  return address.includes(':');
}

export function isCidr4(cidr: Cidr): cidr is Cidr4 {
  return !cidr.includes(':');
}

export function isCidr6(cidr: Cidr): cidr is Cidr6 {
  return cidr.includes(':');
}

interface Value {
  readonly family: Family;
  readonly value: bigint;
}

/** Canonical text proves itself by being written back alike, a hundred times cheaper than the library judges other text. */
function read(text: string, kind: string, whole: string): Value {
  const family = text.includes(':') ? 6 : 4;
  const fast = text.length <= LONGEST ? readBits(text, family) : -1n;
  const canonical =
    fast >= 0n && fast >> BigInt(widthOf(family)) === 0n && writeAddress(family, fast) === text;
  const value = canonical ? fast : judge(text, kind, whole);
  if (family === 6 && value >> 32n === MAPPED) {
    throw refused(kind, whole, 'it is IPv4-mapped IPv6, write it as IPv4');
  }
  return { family, value };
}

function judge(text: string, kind: string, whole: string): bigint {
  const reason = refusal(text);
  if (reason !== undefined) throw refused(kind, whole, reason);
  try {
    return BigInt(String(IPCIDR.createAddress(withoutQuad(text)).bigInteger()));
  } catch (error) {
    throw refused(kind, whole, 'it is not an IP address', error);
  }
}

/** Writes an embedded IPv4 tail as two groups: the library reads `64:ff9b::10.0.0.1` as 10.0.0.1. */
function withoutQuad(text: string): string {
  const tail = text.lastIndexOf(':') + 1;
  if (tail === 0 || !text.includes('.')) return text;
  const value = Number(readBits(text.slice(tail), 4));
  return `${text.slice(0, tail)}${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
}

/** What the library or the C library would take, read differently, or call merely invalid. */
function refusal(text: string): string | undefined {
  if (text === '') return 'it is empty';
  if (text.length > LONGEST) return 'it is too long for an IP address';
  if (text.trim() !== text) return 'it has blanks around it';
  if (text.includes('%')) return 'it has a zone, which means something on one host only';
  const quad = text.slice(text.lastIndexOf(':') + 1);
  if (/(^|\.)0[0-9]/.test(quad) && quad.includes('.')) {
    return 'it has leading zeros, which some programs read as octal';
  }
  if (!text.includes(':') && !/^[0-9]+(\.[0-9]+){3}$/.test(text)) {
    return 'it is not four decimal numbers with dots between them';
  }
  return isIP(text) === 0 ? 'it is not an IP address' : undefined;
}

function refused(kind: string, text: string, reason: string, cause?: unknown): SyntaxError {
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  return new SyntaxError(`Cannot parse ${kind} ${shown}: ${reason}`, cause === undefined ? {} : { cause });
}
