// What processes hold of the machine, and whether it grew.
// This module is pure.

/** One process at one moment. */
export interface Usage {
  /** `east/gw-0 wireguard-go ist01`: the same for whatever takes its place after a restart. */
  readonly what: string;
  readonly rssKiB: number;
  /** Open file descriptors. */
  readonly files: number;
}

/** All processes of one description together. */
export interface Holding {
  readonly count: number;
  /** Of the largest. */
  readonly rssKiB: number;
  /** Of the one with most. */
  readonly files: number;
}

export type Holdings = ReadonlyMap<string, Holding>;

/** A heap that is collected now and then is seldom as small as it could be. */
const GROWTH = 1.25;
const GROWTH_KIB = 8 * 1024;

export function holdingsOf(usages: readonly Usage[]): Holdings {
  const groups = Map.groupBy(usages, ({ what }) => what);
  return new Map(
    [...groups].map(([what, group]) => {
      const rssKiB = Math.max(...group.map((usage) => usage.rssKiB));
      const files = Math.max(...group.map((usage) => usage.files));
      return [what, { count: group.length, rssKiB, files }];
    }),
  );
}

/** The most of two moments: what was held once after everything had warmed up may be held again. */
export function most(a: Holdings, b: Holdings): Holdings {
  const all = new Map(a);
  for (const [what, holding] of b) {
    const before = a.get(what) ?? holding;
    all.set(what, {
      count: Math.max(before.count, holding.count),
      rssKiB: Math.max(before.rssKiB, holding.rssKiB),
      files: Math.max(before.files, holding.files),
    });
  }
  return all;
}

/** One line for each that grew, was left over, or has gone. */
export function growth(before: Holdings, after: Holdings): string[] {
  const gone = [...before.keys()].filter((what) => !after.has(what)).map((what) => `${what} has gone`);
  const grown = [...after].flatMap(([what, holding]) => {
    const allowed = before.get(what);
    return allowed === undefined ? [`${what} was not there before`] : grownOf(what, allowed, holding);
  });
  return [...gone, ...grown];
}

function grownOf(what: string, before: Holding, after: Holding): string[] {
  const found: string[] = [];
  if (after.count > before.count) found.push(`${what} runs ${after.count} times, not ${before.count}`);
  if (after.rssKiB > before.rssKiB * GROWTH + GROWTH_KIB)
    found.push(`${what} grew from ${mebibytes(before.rssKiB)} to ${mebibytes(after.rssKiB)} MiB`);
  if (after.files > before.files) found.push(`${what} has ${after.files} files open, not ${before.files}`);
  return found;
}

export function mebibytes(kibibytes: number): number {
  return Math.round(kibibytes / 102.4) / 10;
}
