// Claims as ranges on one number line, so that whatever clashes is adjacent once they are sorted.
// This module is pure.

import type { Cidr, Family } from '#lib/ip';
import { familyOf, firstAddress, offsetOf, parseCidr, prefixOf } from '#lib/ip';
import type { RemoteCluster } from './fleet.ts';

/** `own` is stronger than any `pod`, which is stronger than any `service`; among equals the older cluster's is. */
export type Claim = 'own' | 'pod' | 'service';

/** Numbers that one claim holds, both ends inclusive. CIDRs nest or are disjoint, so ranges do as well. */
export interface Range {
  readonly first: bigint;
  readonly last: bigint;
  readonly kind: Claim;
  /** Absent: this cluster. */
  readonly owner?: RemoteCluster;
  /** Absent: the range stands for a cluster index. */
  readonly cidr?: Cidr;
  /** In words. */
  readonly text: string;
}

/** What a remote loses. */
export interface Verdict {
  /** CIDRs that somebody stronger has; they are not even guarded, since that would take them from the stronger. */
  readonly dropped: readonly Cidr[];
  /** Present: nothing is sent to the remote at all. */
  readonly refused?: { readonly claim: string; readonly other: string };
}

/** Where on the line each kind of number begins: IPv4, then IPv6, then indexes. */
const START = { 4: 0n, 6: 1n << 128n, index: 1n << 130n } as const;
const ALL = { 4: parseCidr('0.0.0.0/0'), 6: parseCidr('::/0') } as const;
const WIDTH = { 4: 32, 6: 128 } as const;

export function rangeOf(cidr: Cidr): Range;
export function rangeOf(cidr: Cidr, owner: RemoteCluster, kind: Claim): Range;
export function rangeOf(cidr: Cidr, owner?: RemoteCluster, kind: Claim = 'own'): Range {
  const family: Family = familyOf(cidr);
  const first = START[family] + offsetOf(ALL[family], firstAddress(cidr));
  const last = first + (1n << BigInt(WIDTH[family] - prefixOf(cidr))) - 1n;
  return { first, last, kind, cidr, text: cidr, ...(owner === undefined ? {} : { owner }) };
}

/** Two clusters with one index would have the same fabric addresses. */
export function indexRange(index: number, owner?: RemoteCluster): Range {
  const first = START.index + BigInt(index);
  const range = { first, last: first, text: `index ${index}` };
  return owner === undefined ? { ...range, kind: 'own' } : { ...range, kind: 'pod', owner };
}

/**
 * Who loses what, of ranges sorted by first number, longer range first. A pod CIDR that somebody stronger has refuses
 * the whole cluster. A service CIDR is only dropped: nothing is sent there yet, and most clusters use their installer's
 * default, so that it is not even worth a word.
 */
export function resolve(sorted: readonly Range[]): ReadonlyMap<RemoteCluster, Verdict> {
  const clashing = clashes(sorted);
  const verdicts = new Map<RemoteCluster, Verdict>();
  if (clashing.length === 0) return verdicts;
  const standing: Range[] = [];
  for (const range of clashing.sort(byStrength)) {
    const stronger = standing.find((other) => other.owner !== range.owner && meet(other, range));
    if (stronger === undefined || range.owner === undefined) standing.push(range);
    else verdicts.set(range.owner, lose(verdicts.get(range.owner), range, stronger));
  }
  return verdicts;
}

/** Ranges that overlap one of another owner: few, or none. */
function clashes(sorted: readonly Range[]): Range[] {
  const found = new Set<Range>();
  /** Those around the next range, outermost first: ranges nest or are disjoint, so the innermost ends first. */
  const around: Range[] = [];
  for (const range of sorted) {
    while ((around.at(-1)?.last ?? range.first) < range.first) around.pop();
    for (const outer of around) if (outer.owner !== range.owner) found.add(outer).add(range);
    around.push(range);
  }
  return [...found];
}

function lose(before: Verdict | undefined, { cidr, kind, text }: Range, stronger: Range): Verdict {
  const dropped = [...(before?.dropped ?? []), ...(cidr === undefined ? [] : [cidr])];
  const owner = stronger.owner === undefined ? 'this cluster' : `cluster "${stronger.owner.id}"`;
  const refused = kind === 'pod' ? { claim: text, other: `${stronger.text} of ${owner}` } : undefined;
  const reason = before?.refused ?? refused;
  return reason === undefined ? { dropped } : { dropped, refused: reason };
}

function meet(a: Range, b: Range): boolean {
  return a.first <= b.last && b.first <= a.last;
}

const STRENGTH: Readonly<Record<Claim, number>> = { own: 0, pod: 1, service: 2 };

/** One cluster's stay in the order of their numbers. */
function byStrength(a: Range, b: Range): number {
  const order = STRENGTH[a.kind] - STRENGTH[b.kind];
  if (order !== 0 || a.owner === undefined || b.owner === undefined) return order;
  return byAge(a.owner, b.owner);
}

/** The older first: the one with the lower index. Two with one index go by their ids, so that a restart changes nothing. */
export function byAge(a: RemoteCluster, b: RemoteCluster): number {
  return a.index - b.index || Number(a.id > b.id) - Number(a.id < b.id);
}
