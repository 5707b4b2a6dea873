// What a kernel holds that is nobody's of ours: read before and after, it has to be the same.

import type { Run } from '#lib/linux';

/** Listings without anything that moves by itself. A line that is not there in one kernel is left out. */
const STATE = `ip -o link
ip -o addr
for f in 4 6; do ip -$f route show table all; ip -$f rule; done
ip nexthop
nft -s list ruleset
sysctl -a -r '^net\\.' 2>/dev/null || :`;

/** Numbers of devices are given anew, lifetimes run down, caches and connections come and go. */
const MOVING: readonly (readonly [RegExp, string])[] = [
  [/^\d+: /, ''],
  [/(valid_lft|preferred_lft|expires) \w+/g, ''],
  [/@if\d+/, ''],
];
const PASSING = /nf_conntrack_count|random|stable_secret|\.neigh\./;

/** Sorted lines: their order is nobody's either. */
export async function readState(run: Run): Promise<readonly string[]> {
  const said = await run({ argv: ['sh', '-c', STATE], timeoutMs: 30_000 });
  return said
    .split('\n')
    .map((line) =>
      MOVING.reduce((text, [what, by]) => text.replaceAll(new RegExp(what, 'g'), by), line).trim(),
    )
    .filter((line) => line !== '' && !PASSING.test(line))
    .toSorted((a, b) => (a < b ? -1 : 1));
}

/** `lost: …` and `new: …`, one line each. */
export function differences(before: readonly string[], after: readonly string[]): string[] {
  return [
    ...without(before, after).map((line) => `lost: ${line}`),
    ...without(after, before).map((line) => `new: ${line}`),
  ];
}

/** As often as it is there more often. */
function without(list: readonly string[], other: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const line of other) left.set(line, (left.get(line) ?? 0) + 1);
  return list.filter((line) => {
    const count = left.get(line) ?? 0;
    left.set(line, count - 1);
    return count <= 0;
  });
}
