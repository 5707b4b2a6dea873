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

/** Every run of low bits, by its length: shifting big integers anew each time costs most of what a block costs. */
const HOST_BITS: readonly bigint[] = Array.from({ length: 129 }, (_, bits) => (1n << BigInt(bits)) - 1n);

/** The largest offset inside a block of such a prefix: all host bits one. */
export function hostBits(family: Family, prefix: number): bigint {
  return HOST_BITS[widthOf(family) - prefix] ?? 0n;
}

/** How many addresses a block of such a prefix has. */
export function sizeOf(family: Family, prefix: number): bigint {
  return hostBits(family, prefix) + 1n;
}

/** The block of a prefix that a value lies in: host bits are cleared. */
export function blockAt(family: Family, value: bigint, prefix: number): Block {
  const host = hostBits(family, prefix);
  const last = value | host;
  return { family, prefix, first: last - host, last };
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
      at += 1;
      if (text.charCodeAt(at) === COLON) {
        gap = count;
        at += 1;
      }
    }
    const end = endOfGroup(text, at);
    if (end > at) {
      groups[count & 7] = hex(text, at, end);
      count += 1;
    }
    at = end;
  }
  if (gap >= 0) spread(groups, Math.min(count, 8), gap);
  return fromGroups(groups);
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

/** Puts the zeros that `::` stands for back: groups behind the gap move to the end. */
function spread(groups: number[], count: number, gap: number): void {
  const shift = 8 - count;
  if (shift === 0) return;
  for (let at = count - 1; at >= gap; at -= 1) {
    groups[at + shift] = groups[at] ?? 0;
    groups[at] = 0;
  }
}

function fromGroups(groups: readonly number[]): bigint {
  const high = (word(groups, 0) << 32n) | word(groups, 2);
  // Addresses like fd00:1:: are common: their low half is zero.
  if (groups[4] === 0 && groups[5] === 0 && groups[6] === 0 && groups[7] === 0) return high << 64n;
  return (high << 64n) | (word(groups, 4) << 32n) | word(groups, 6);
}

function word(groups: readonly number[], at: number): bigint {
  return BigInt((groups[at] ?? 0) * 65_536 + (groups[at + 1] ?? 0));
}

function write4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** RFC 5952: lower case, no leading zeros, `::` for the first longest run of two or more zero groups. */
function write6(value: bigint): string {
  const high = value >> 64n;
  const low = BigInt.asUintN(64, value);
  const [a, b] = [Number(high >> 32n), Number(BigInt.asUintN(32, high))];
  const [c, d] = [Number(low >> 32n), Number(BigInt.asUintN(32, low))];
  const groups = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff, c >>> 16, c & 0xffff, d >>> 16, d & 0xffff];
  const end = endOfZeros(groups);
  const start = end - zerosBefore(groups, end);
  if (end - start < 2) return join(groups, 0, 8);
  return `${join(groups, 0, start)}::${join(groups, end, 8)}`;
}

/** Where the first longest run of zero groups ends. */
function endOfZeros(groups: readonly number[]): number {
  let best = 0;
  let end = 0;
  let run = 0;
  for (let at = 0; at < 8; at += 1) {
    run = groups[at] === 0 ? run + 1 : 0;
    if (run > best) {
      best = run;
      end = at + 1;
    }
  }
  return end;
}

function zerosBefore(groups: readonly number[], end: number): number {
  let start = end;
  while (start > 0 && groups[start - 1] === 0) start -= 1;
  return end - start;
}

function join(groups: readonly number[], from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at += 1) {
    if (at > from) text += ':';
    text += (groups[at] ?? 0).toString(16);
  }
  return text;
}
