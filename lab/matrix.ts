// Who reaches whom, seen as whom: every pod and host process of every site against the pods of all other sites.

import { contains, parseAddress, parseCidr } from '#lib/ip';
import { askEnd } from './ends.ts';
import type { Lab } from './lab.ts';
import type { LabEnd } from './layout.ts';
import type { CheckResult } from './pod/protocol.ts';

export interface MatrixOptions {
  /** Only what begins and ends at these sites. @default all */
  readonly sites?: readonly string[];
  /** @default both */
  readonly families?: readonly ('v4' | 'v6')[];
  /** @default tcp */
  readonly protocol?: 'tcp' | 'udp';
  /** @default 3000: one lost first packet is repeated by TCP after a second */
  readonly timeoutMs?: number;
  /** Pods of one site among themselves as well. @default false */
  readonly within?: boolean;
  /** Measures round trips once more, one at a time: those of the first pass were taken in a crowd. @default false */
  readonly calm?: boolean;
}

/** One pair, one family. */
export interface MatrixPair extends CheckResult {
  readonly from: LabEnd;
  readonly to: LabEnd;
  readonly family: 'v4' | 'v6';
  readonly address: string;
  readonly reached: boolean;
  /** It was seen by its own address: a pod by the pod's, a host process by its node's inside the pod CIDR. */
  readonly kept: boolean;
}

/** A pair before anybody asked. */
type Wanted = Pick<MatrixPair, 'from' | 'to' | 'family' | 'address'>;

/** Checks that one process makes at once. */
const CROWD = 4;

/** Asks every end at once; each makes its checks a few at a time. */
export async function measureMatrix(lab: Lab, options: MatrixOptions = {}): Promise<MatrixPair[]> {
  const ends = lab.ends.filter((end) => options.sites?.includes(end.site) ?? true);
  const rows = await Promise.all(ends.map((from) => measureRow(lab, wantedOf(from, ends, options), options)));
  const pairs = rows.flat();
  return options.calm === true ? calmly(lab, pairs, options) : pairs;
}

function wantedOf(from: LabEnd, ends: readonly LabEnd[], options: MatrixOptions): Wanted[] {
  const families = options.families ?? (['v4', 'v6'] as const);
  return ends
    .filter((to) => to !== from && (options.within === true || to.site !== from.site))
    .flatMap((to) =>
      families.flatMap((family) => {
        const address = to.addresses[family];
        return address === undefined || from.seenAs[family] === undefined
          ? []
          : [{ from, to, family, address }];
      }),
    );
}

async function measureRow(
  lab: Lab,
  wanted: readonly Wanted[],
  options: MatrixOptions,
  atOnce = CROWD,
): Promise<MatrixPair[]> {
  const [first] = wanted;
  if (first === undefined) return [];
  const { protocol = 'tcp', timeoutMs = 3000 } = options;
  const checks = wanted.map(({ address }) => ({ protocol, address, timeoutMs }));
  const results = await askEnd(lab.home.socket(first.from.name), checks, atOnce);
  return wanted.map((pair, at) => {
    const result = results[at] ?? { error: 'unasked' };
    const reached = result.seenAs !== undefined;
    return { ...pair, ...result, reached, kept: reached && isKept(pair.from, pair.family, result.seenAs) };
  });
}

/** Times of a second pass over what was reached; all else is the first's. */
async function calmly(lab: Lab, pairs: readonly MatrixPair[], options: MatrixOptions): Promise<MatrixPair[]> {
  const calm = new Map<MatrixPair, number | undefined>();
  for (const row of Map.groupBy(pairs, (pair) => pair.from).values()) {
    const reached = row.filter((pair) => pair.reached);
    const again = await measureRow(lab, reached, options, 1);
    for (const [at, pair] of reached.entries()) calm.set(pair, again[at]?.rttMs);
  }
  return pairs.map((pair) => {
    const rttMs = calm.get(pair) ?? pair.rttMs;
    return rttMs === undefined ? pair : { ...pair, rttMs };
  });
}

function isKept(from: LabEnd, family: 'v4' | 'v6', seenAs: string): boolean {
  const own = from.seenAs[family];
  if (own === undefined) return false;
  return own.includes('/') ? contains(parseCidr(own), parseAddress(seenAs)) : own === seenAs;
}
