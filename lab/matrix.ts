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

/** Asks every end at once; each makes its checks a few at a time. */
export async function measureMatrix(lab: Lab, options: MatrixOptions = {}): Promise<MatrixPair[]> {
  const wanted = lab.ends.filter((end) => options.sites?.includes(end.site) ?? true);
  const rows = await Promise.all(wanted.map((from) => measureRow(lab, from, wanted, options)));
  return rows.flat();
}

async function measureRow(
  lab: Lab,
  from: LabEnd,
  ends: readonly LabEnd[],
  options: MatrixOptions,
): Promise<MatrixPair[]> {
  const families = options.families ?? (['v4', 'v6'] as const);
  const pairs = ends
    .filter((to) => to !== from && (options.within === true || to.site !== from.site))
    .flatMap((to) =>
      families.flatMap((family) => {
        const address = to.addresses[family];
        return address === undefined || from.seenAs[family] === undefined ? [] : [{ to, family, address }];
      }),
    );
  const checks = pairs.map(({ address }) => ({
    protocol: options.protocol ?? ('tcp' as const),
    address,
    timeoutMs: options.timeoutMs ?? 3000,
  }));
  const results = await askEnd(lab.home.socket(from.name), checks);
  return pairs.map((pair, at) => {
    const result = results[at] ?? { error: 'unasked' };
    const reached = result.seenAs !== undefined;
    return { from, ...pair, ...result, reached, kept: reached && isKept(from, pair.family, result.seenAs) };
  });
}

function isKept(from: LabEnd, family: 'v4' | 'v6', seenAs: string): boolean {
  const own = from.seenAs[family];
  if (own === undefined) return false;
  return own.includes('/') ? contains(parseCidr(own), parseAddress(seenAs)) : own === seenAs;
}
