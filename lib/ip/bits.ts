// The step between canonical text and numbers: reading it without a library, and RFC 5952 writing.
// This module is pure.

import type { Address, Cidr, Family } from './types.ts';

/** A CIDR as numbers. `first` and `last` are inclusive; an address is a block of one. */
export interface Block {
  readonly family: Family;
  readonly prefix: number;
  readonly first: bigint;
  readonly last: bigint;
}

const DOT = 46;
const COLON = 58;

/** Bits of an address of the family. */
export function widthOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** One past the largest offset inside a block of such a prefix. */
export function sizeOf(family: Family, prefix: number): bigint {
  return 1n << BigInt(widthOf(family) - prefix);
}

/** The block of a prefix that a value lies in: host bits are cleared. */
export function blockAt(family: Family, value: bigint, prefix: number): Block {
  const host = BigInt(widthOf(family) - prefix);
  const first = (value >> host) << host;
  return { family, prefix, first, last: first + (1n << host) - 1n };
}

/** The number that canonical text stands for; what text that is not canonical gives is unspecified, but never an error. */
export function readBits(text: string, family: Family): bigint {
  return family === 4 ? BigInt(read4(text)) : read6(text);
}

/** The block that an address or CIDR stands for. */
export function readBlock(value: Address | Cidr): Block {
  const family = value.includes(':') ? 6 : 4;
  const slash = value.indexOf('/');
  if (slash < 0) {
    const first = readBits(value, family);
    return { family, prefix: widthOf(family), first, last: first };
  }
  return blockAt(family, readBits(value.slice(0, slash), family), Number(value.slice(slash + 1)));
}

export function writeAddress(family: Family, value: bigint): Address {
  return asAddress(family === 4 ? write4(Number(value)) : write6(value));
}

export function writeCidr(block: Block): Cidr {
  return asCidr(`${writeAddress(block.family, block.first)}/${block.prefix}`);
}

// The two places where text becomes a value: only the writers above call them, so what they are given is canonical by construction.

function asAddress(text: string): Address;
function asAddress(text: string): string {
  return text;
}

function asCidr(text: string): Cidr;
function asCidr(text: string): string {
  return text;
}

function read4(text: string): number {
  let value = 0;
  let octet = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === DOT) {
      value = value * 256 + octet;
      octet = 0;
    } else {
      octet = (octet * 10 + code - 48) & 0x3ff;
    }
  }
  return value * 256 + octet;
}

function read6(text: string): bigint {
  const groups = [0, 0, 0, 0, 0, 0, 0, 0];
  let count = 0;
  let gap = -1;
  let at = 0;
  while (at < text.length) {
    if (text.charCodeAt(at) === COLON) {
      if (text.charCodeAt(at + 1) === COLON) {
        gap = count;
        at += 1;
      }
      at += 1;
    }
    const end = endOfGroup(text, at);
    if (end > at) {
      groups[count & 7] = hex(text, at, end);
      count += 1;
    }
    at = end;
  }
  return fromGroups(gap < 0 ? groups : spread(groups, count, gap));
}

function endOfGroup(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) !== COLON) at += 1;
  return at;
}

function hex(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at += 1) {
    const code = text.charCodeAt(at);
    value = (value << 4) | (code > 57 ? code - 87 : code - 48);
  }
  return value & 0xffff;
}

/** Puts the zeros that `::` stands for back between the groups before and after it. */
function spread(groups: readonly number[], count: number, gap: number): number[] {
  const all = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let at = 0; at < gap; at += 1) all[at] = groups[at] ?? 0;
  for (let at = gap; at < count; at += 1) all[8 - count + at] = groups[at] ?? 0;
  return all;
}

function fromGroups(groups: readonly number[]): bigint {
  const word = (at: number): bigint => BigInt((groups[at] ?? 0) * 65536 + (groups[at + 1] ?? 0));
  return (((word(0) << 32n) | word(2)) << 64n) | (word(4) << 32n) | word(6);
}

function write4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** RFC 5952: lower case, no leading zeros, `::` for the first longest run of two or more zero groups. */
function write6(value: bigint): string {
  const groups: number[] = [];
  for (const shift of [96n, 64n, 32n, 0n]) {
    const word = Number((value >> shift) & 0xffff_ffffn);
    groups.push(word >>> 16, word & 0xffff);
  }
  const [start, length] = longestZeros(groups);
  if (length < 2) return join(groups, 0, 8);
  return `${join(groups, 0, start)}::${join(groups, start + length, 8)}`;
}

function longestZeros(groups: readonly number[]): readonly [start: number, length: number] {
  let best: readonly [number, number] = [0, 0];
  let run = 0;
  for (let at = 0; at < 8; at += 1) {
    run = groups[at] === 0 ? run + 1 : 0;
    if (run > best[1]) best = [at - run + 1, run];
  }
  return best;
}

function join(groups: readonly number[], from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at += 1) text += `${at > from ? ':' : ''}${(groups[at] ?? 0).toString(16)}`;
  return text;
}
