// Sets of addresses as lists of CIDRs: two CIDRs are nested or disjoint, all that follows rests on that.
// This module is pure.

import type { Block } from './bits.ts';
import { blockAt, readBlock, sizeOf, widthOf, writeCidr } from './bits.ts';
import { checkPrefix } from './cidr.ts';
import type { Address, Cidr } from './types.ts';

/** Order: IPv4 before IPv6, then by first address, then the shorter prefix. An address stands as a block of one. */
export function compare(a: Address | Cidr, b: Address | Cidr): number {
  return a === b ? 0 : compareBlocks(readBlock(a), readBlock(b));
}

/** A copy in the order of {@link compare}, reading each value once. */
export function sorted<T extends Address | Cidr>(values: Iterable<T>): T[] {
  const read = Array.from(values, (value) => ({ value, block: readBlock(value) }));
  return read.sort((a, b) => compareBlocks(a.block, b.block)).map(({ value }) => value);
}

/** Whether all of the inner lies in the outer. Families never contain each other. */
export function contains(outer: Cidr, inner: Address | Cidr): boolean {
  return covers(readBlock(outer), readBlock(inner));
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  const [first, second] = [readBlock(a), readBlock(b)];
  return covers(first, second) || covers(second, first);
}

/** The first of `as` that overlaps one of `bs`, with the first such of `bs`; O((n + m) log m) where none does. */
export function firstOverlap(as: readonly Cidr[], bs: readonly Cidr[]): readonly [Cidr, Cidr] | undefined {
  const index = outermost(bs.map((b) => readBlock(b)));
  const a = as.find((candidate) => meets(index, readBlock(candidate)));
  const b = a === undefined ? undefined : bs.find((candidate) => overlaps(a, candidate));
  return a === undefined || b === undefined ? undefined : [a, b];
}

/** The fewest CIDRs that hold exactly the addresses of the given ones, sorted. */
export function merge(cidrs: readonly Cidr[]): Cidr[] {
  const done: Block[] = [];
  for (const block of outermost(cidrs.map((cidr) => readBlock(cidr)))) {
    let next = block;
    for (let last = done.at(-1); last !== undefined && areHalves(last, next); last = done.at(-1)) {
      done.pop();
      next = blockAt(last.family, last.first, last.prefix - 1);
    }
    done.push(next);
  }
  return done.map((block) => writeCidr(block));
}

/** The fewest CIDRs that hold the addresses of `from` which are in none of `minus`, sorted. */
export function subtract(from: readonly Cidr[], minus: readonly Cidr[]): Cidr[] {
  const holes = outermost(minus.map((cidr) => readBlock(cidr)));
  return merge(from).flatMap((cidr) => {
    const block = readBlock(cidr);
    const inside = holes.slice(lowerBound(holes, block), upperBound(holes, block));
    return [...without(block, inside)].map((rest) => writeCidr(rest));
  });
}

/**
 * The blocks of a longer prefix, in order; made as they are asked for, since there may be very many.
 *
 * @throws {RangeError} when the prefix is shorter than the CIDR's own, or longer than the family's width
 */
export function split(cidr: Cidr, prefix: number): Iterable<Cidr> {
  const block = readBlock(cidr);
  checkPrefix(block.family, prefix, block.prefix);
  return pieces(block, prefix);
}

/**
 * The lowest block of such a prefix in the pool that overlaps nothing taken; undefined when the pool is full.
 *
 * @throws {RangeError} when the pool has no block of such a prefix
 */
export function nextFree(pool: Cidr, taken: readonly Cidr[], prefix: number): Cidr | undefined {
  const block = readBlock(pool);
  checkPrefix(block.family, prefix, block.prefix);
  const size = sizeOf(block.family, prefix);
  let candidate = block.first;
  for (const hole of outermost(taken.map((cidr) => readBlock(cidr)))) {
    if (hole.family !== block.family || hole.last < candidate) continue;
    if (hole.first >= candidate + size) break;
    // Step to the next aligned block behind the hole.
    candidate = ((hole.last + size) / size) * size;
  }
  return candidate > block.last ? undefined : writeCidr(blockAt(block.family, candidate, prefix));
}

function compareBlocks(a: Block, b: Block): number {
  if (a.family !== b.family) return a.family - b.family;
  if (a.first !== b.first) return a.first < b.first ? -1 : 1;
  return a.prefix - b.prefix;
}

function covers(outer: Block, inner: Block): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;
}

/** Sorted, without those that lie in another: what stays is disjoint. */
function outermost(blocks: readonly Block[]): Block[] {
  const kept: Block[] = [];
  for (const block of blocks.toSorted(compareBlocks)) {
    const last = kept.at(-1);
    if (last === undefined || !covers(last, block)) kept.push(block);
  }
  return kept;
}

/** Of disjoint sorted blocks: the index of the first that ends at or after the block's first address. */
function lowerBound(blocks: readonly Block[], block: Block): number {
  return bisect(
    blocks,
    (b) => b.family > block.family || (b.family === block.family && b.last >= block.first),
  );
}

/** Of disjoint sorted blocks: the index of the first that begins after the block's last address. */
function upperBound(blocks: readonly Block[], block: Block): number {
  return bisect(
    blocks,
    (b) => b.family > block.family || (b.family === block.family && b.first > block.last),
  );
}

function bisect(blocks: readonly Block[], holds: (block: Block) => boolean): number {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const block = blocks[middle];
    if (block !== undefined && holds(block)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function meets(blocks: readonly Block[], block: Block): boolean {
  return lowerBound(blocks, block) < upperBound(blocks, block);
}

function areHalves(a: Block, b: Block): boolean {
  if (a.family !== b.family || a.prefix !== b.prefix || a.prefix === 0 || a.last + 1n !== b.first)
    return false;
  return (a.first & sizeOf(a.family, a.prefix)) === 0n;
}

/** What is left of a block: halved until a half is free or is a hole itself, so depth is at most the family's width. */
function* without(block: Block, holes: readonly Block[]): Generator<Block> {
  const inside = holes.filter((hole) => covers(hole, block) || covers(block, hole));
  if (inside.length === 0) {
    yield block;
  } else if (!inside.some((hole) => covers(hole, block)) && block.prefix < widthOf(block.family)) {
    for (const half of halves(block)) yield* without(half, inside);
  }
}

function halves(block: Block): readonly [Block, Block] {
  const prefix = block.prefix + 1;
  return [blockAt(block.family, block.first, prefix), blockAt(block.family, block.last, prefix)];
}

function* pieces(block: Block, prefix: number): Generator<Cidr> {
  const size = sizeOf(block.family, prefix);
  for (let first = block.first; first <= block.last; first += size) {
    yield writeCidr(blockAt(block.family, first, prefix));
  }
}
