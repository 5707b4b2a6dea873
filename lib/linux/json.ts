// Reads the JSON of `ip`, `bridge` or `nft` field by field, refusing what does not fit with its place.
// This module is pure.

import type { Address, Cidr } from '#lib/ip';

export type Item = Readonly<Record<string, unknown>>;

/** Any JSON. Throws SyntaxError naming `source`. */
export function parseJson(text: string, source: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (cause) {
    throw new SyntaxError(`Cannot parse the output of "${source}": it is not JSON`, { cause });
  }
}

/** An array of objects; empty text is an empty array (`ip -j` prints nothing where there is nothing). */
export function parseItems(text: string, source: string): readonly Item[] {
  if (text.trim() === '') return [];
  return items(parseJson(text, source), source);
}

export function isItem(value: unknown): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function items(value: unknown, source: string): readonly Item[] {
  if (!Array.isArray(value)) throw new SyntaxError(`Cannot parse "${source}": it is not a list`);
  const list: readonly unknown[] = value;
  // `ip` prints {} for an object that its own filter left out.
  return list.map((entry) => {
    if (!isItem(entry)) throw new SyntaxError(`Cannot parse "${source}": an entry is not an object`);
    return entry;
  });
}

/** The list in field `key`; none where the field is absent. */
export function itemsOf(item: Item, key: string): readonly Item[] {
  const value = item[key];
  return value === undefined ? [] : items(value, key);
}

export function textOf(item: Item, key: string): string | undefined {
  const value = item[key];
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw new SyntaxError(`Cannot parse field "${key}": it is not text`);
  return value;
}

/** A count as number, decimal or 0x text: `ip` uses all three. */
export function numberOf(item: Item, key: string): number | undefined {
  const value = item[key];
  if (value === undefined) return undefined;
  const number = typeof value === 'string' && /^(?:\d+|0x[0-9a-f]+)$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0)
    throw new SyntaxError(`Cannot parse field "${key}": it is not a number`);
  return number;
}

export function need<T>(value: T | undefined, key: string): T {
  if (value === undefined) throw new SyntaxError(`Cannot parse an entry: field "${key}" is missing`);
  return value;
}

export function flagsOf(item: Item): readonly string[] {
  const value = item['flags'];
  if (!Array.isArray(value)) return [];
  const list: readonly unknown[] = value;
  return list.filter((flag) => typeof flag === 'string');
}

export function addressOf(item: Item, key: string): Address | undefined {
  const value = textOf(item, key);
  return value === undefined ? undefined : kernelAddress(value);
}

/**
 * An address as the kernel's tools print it. They print canonical text already (inet_ntop is RFC 5952), so it is only
 * looked at, not parsed: a listing of a thousand clusters holds many thousands.
 */
export function kernelAddress(value: string): Address {
  if (!isPrintedAddress(value)) throw new SyntaxError(`Cannot parse address "${value.slice(0, 60)}"`);
  return value;
}

/** The same for a CIDR, which the kernel keeps without host bits. */
export function kernelCidr(value: string): Cidr {
  if (!isPrintedCidr(value)) throw new SyntaxError(`Cannot parse CIDR "${value.slice(0, 60)}"`);
  return value;
}

function isPrintedAddress(value: string): value is Address {
  return /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)$/.test(value);
}

function isPrintedCidr(value: string): value is Cidr {
  return /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)\/\d{1,3}$/.test(value);
}
