// Kernel to us: `nft -j list table` and `nft -j list counters`.
// This module is pure.

import { fingerprint } from './fingerprint.ts';
import type { Item } from './json.ts';
import { isItem, items, need, numberOf, parseJson, textOf } from './json.ts';
import type { HeldTable } from './kernel-state.ts';

const SEAL = /^seal_([0-9a-f]{14})_([0-9a-f]{14})$/;

/**
 * Name of the rule-less chain that makes a table recognisable: fingerprints of the body that was wanted and of the
 * listing that the kernel gave for it. A name, because chain comments need a newer kernel than the rest.
 */
export function sealName(body: string, listing: string): string {
  return `seal_${body}_${listing}`;
}

/** The table as listed by `nft -j list table`. Throws SyntaxError. */
export function parseTable(text: string, name: string): HeldTable {
  const listed = listingOf(text);
  const sets: Record<string, readonly string[]> = {};
  const rest: string[] = [];
  let seal: HeldTable['seal'];
  for (const entry of listed) {
    const found = sealOf(entry);
    if (found !== undefined) {
      // Two seals are no seal: somebody, or a killed apply, was here.
      seal = seal === undefined ? found : { body: '', listing: '' };
      continue;
    }
    const set = entry['set'];
    if (isItem(set)) sets[need(textOf(set, 'name'), 'name')] = elementsOf(set).sort();
    if (entry['metainfo'] === undefined) rest.push(JSON.stringify(entry, steady));
  }
  return { name, seal, listing: fingerprint(rest.join('\n')), sets };
}

function listingOf(text: string): readonly Item[] {
  const whole = parseJson(text, 'nft -j list table');
  if (!isItem(whole)) throw new SyntaxError('Cannot parse the listing of nft: it is not an object');
  return items(whole['nftables'], 'nftables');
}

function sealOf(entry: Item): { body: string; listing: string } | undefined {
  const chain = entry['chain'];
  const match = isItem(chain) ? SEAL.exec(textOf(chain, 'name') ?? '') : null;
  return match === null ? undefined : { body: match[1] ?? '', listing: match[2] ?? '' };
}

/** Leaves out what changes by itself: handles, counts, and the elements of named sets, which are diffed. */
function steady(key: string, value: unknown): unknown {
  return key === 'handle' || key === 'packets' || key === 'bytes' || key === 'elem' ? undefined : value;
}

function elementsOf(set: Item): string[] {
  const list = set['elem'];
  if (!Array.isArray(list)) return [];
  const elements: readonly unknown[] = list;
  return elements.map(elementText);
}

/** An element as nft prints it: `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, `10.0.0.1 . 53`. */
function elementText(element: unknown): string {
  if (typeof element === 'string' || typeof element === 'number') return String(element);
  if (!isItem(element)) throw new SyntaxError('Cannot parse a set element of nft');
  const { prefix, range, concat, elem } = element;
  if (isItem(prefix))
    return `${need(textOf(prefix, 'addr'), 'addr')}/${need(numberOf(prefix, 'len'), 'len')}`;
  if (Array.isArray(range)) return range.map(elementText).join('-');
  if (Array.isArray(concat)) return concat.map(elementText).join(' . ');
  if (isItem(elem)) return elementText(elem['val']);
  throw new SyntaxError('Cannot parse a set element of nft');
}

/** nft prints one address without its prefix length. */
export function canonicalElement(text: string): string {
  return text.replace(/^([0-9.]+)\/32$/, '$1').replace(/^([0-9a-f:.]+)\/128$/, '$1');
}

export interface Counter {
  readonly packets: number;
  readonly bytes: number;
}

/** Named counters by name. Throws SyntaxError. */
export function parseCounters(text: string): Readonly<Record<string, Counter>> {
  const counters: Record<string, Counter> = {};
  for (const entry of listingOf(text)) {
    const counter = entry['counter'];
    if (!isItem(counter)) continue;
    counters[need(textOf(counter, 'name'), 'name')] = {
      packets: numberOf(counter, 'packets') ?? 0,
      bytes: numberOf(counter, 'bytes') ?? 0,
    };
  }
  return counters;
}
