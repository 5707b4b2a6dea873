// What to change in sysctls, where others have a say, and in the nftables table, which is sealed.
// This module is pure.

import type { NftChange, SysctlChange } from './changes.ts';
import { fingerprint } from './fingerprint.ts';
import type { HeldTable } from './kernel-state.ts';
import { isForwardingKey } from './own.ts';
import { canonicalElement } from './parse-nft.ts';
import { canonicalValue } from './parse-sysctl.ts';
import type { NftTable } from './state.ts';

/** Key → what stood before us, and what we put there. */
export type RememberedSysctls = Readonly<Record<string, { readonly before: string; readonly ours: string }>>;

export function diffSysctls(
  have: Readonly<Record<string, string>>,
  want: Readonly<Record<string, string>>,
  remembered: RememberedSysctls,
): SysctlChange[] {
  const set = Object.entries(want).flatMap(([key, value]) =>
    wantedSysctl(key, have[key], canonicalValue(value)),
  );
  const restore = Object.entries(remembered).flatMap(([key, { before, ours }]): SysctlChange[] => {
    // Where the value is not ours any more, somebody has changed it since: it is theirs now.
    const isOurs = !Object.hasOwn(want, key) && have[key] === ours && before !== ours;
    return isOurs && !isForwardingKey(key) ? [{ key, from: ours, to: before, why: 'restore' }] : [];
  });
  return [...set, ...restore];
}

function wantedSysctl(key: string, from: string | undefined, to: string): SysctlChange[] {
  if (from === to || (isForwardingKey(key) && Number(from) > Number(to))) return [];
  return [{ key, ...(from !== undefined && { from }), to, why: 'wanted' }];
}

export function diffTable(have: HeldTable | undefined, want: NftTable | undefined): NftChange | undefined {
  if (want === undefined) return have === undefined ? undefined : { kind: 'delete', name: have.name };
  if (have === undefined) return { kind: 'replace', table: want, reason: 'missing' };
  const { seal } = have;
  if (seal === undefined || seal.listing !== have.listing)
    return { kind: 'replace', table: want, reason: 'damage' };
  if (seal.body !== fingerprint(want.body)) return { kind: 'replace', table: want, reason: 'plan' };
  return diffElements(have, want);
}

function diffElements(have: HeldTable, want: NftTable): NftChange | undefined {
  const add: Record<string, string[]> = {};
  const remove: Record<string, string[]> = {};
  for (const set of new Set([...Object.keys(have.sets), ...Object.keys(want.sets)])) {
    const held = new Set(have.sets[set]);
    const wanted = new Set(want.sets[set]?.map(canonicalElement));
    const more = [...wanted].filter((element) => !held.has(element));
    const less = [...held].filter((element) => !wanted.has(element));
    if (more.length > 0) add[set] = more;
    if (less.length > 0) remove[set] = less;
  }
  if (Object.keys(add).length + Object.keys(remove).length === 0) return undefined;
  return { kind: 'elements', name: want.name, add, remove };
}
