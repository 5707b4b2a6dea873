// What no two clusters may both have: CIDRs, indexes, public keys; the older claim stands.
// This module is pure.

import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import type { Cidr } from '#lib/ip';
import { addressCidr, sorted } from '#lib/ip';
import type { PublicKey } from '#lib/wireguard';
import type { RemoteCluster } from './fleet.ts';
import { createKeyring } from './keyring.ts';
import { indexRange, rangeOf, resolve } from './ranges.ts';
import type { Range, Verdict } from './ranges.ts';
import type { Standpoint } from './standpoint.ts';

/**
 * A remote cluster after the check. The broker refuses such clashes before they come here; this is the second lock,
 * for the day when the first one is picked.
 */
export interface Admitted {
  readonly remote: RemoteCluster;
  /** Pod CIDRs that packets are sent to, sorted; none of a cluster that is refused. */
  readonly routed: readonly Cidr[];
  /** CIDRs that get an unreachable route. */
  readonly guarded: readonly Cidr[];
  /** Keys that an older cluster shows as well. */
  readonly contested: ReadonlySet<PublicKey>;
  readonly conditions: readonly Condition[];
}

export interface Claims {
  /** In the fleet's order. */
  readonly admitted: readonly Admitted[];
  /** Routed CIDRs of all remotes, sorted, none inside another. */
  readonly far: readonly Cidr[];
  /** Guarded CIDRs of all remotes, sorted, each once. */
  readonly guarded: readonly Cidr[];
}

const NONE: ReadonlySet<PublicKey> = new Set();
const CLEAN: Verdict = { dropped: [] };

/** What was made of one remote. */
interface Known {
  readonly ranges: readonly Range[];
  /** For the verdict that it was made under, as text. */
  admitted: Admitted;
  verdict: string;
}

/**
 * Judges the remotes of successive fleets of one standpoint. It remembers the sorted ranges of the last fleet, so that
 * one changed remote costs a merge instead of a sort; what it returns depends on its argument alone.
 */
export function createClaims(standpoint: Standpoint): (remotes: readonly RemoteCluster[]) => Claims {
  const known = new Map<RemoteCluster, Known>();
  const keyring = createKeyring();
  let ranges: Range[] = ownRanges(standpoint);

  function learn(remotes: readonly RemoteCluster[]): void {
    const added = remotes.filter((remote) => !known.has(remote));
    if (added.length === 0 && remotes.length === known.size) return;
    const present = new Set(remotes);
    const gone = [...known.keys()].filter((remote) => !present.has(remote));
    for (const remote of gone) known.delete(remote);
    for (const remote of added) {
      known.set(remote, { ranges: remoteRanges(remote), admitted: admit(remote, CLEAN, NONE), verdict: '' });
    }
    const kept = ranges.filter(({ owner }) => owner === undefined || present.has(owner));
    const fresh = added.flatMap((remote) => known.get(remote)?.ranges ?? []).sort(inOrder);
    // Two sorted runs: the sort is a merge.
    ranges = [...kept, ...fresh].sort(inOrder);
    keyring.update(added, gone);
  }

  function judge(remote: RemoteCluster, verdict: Verdict | undefined): Admitted {
    const contested = keyring.contested(remote);
    const held = known.get(remote);
    const text = verdict || contested.size > 0 ? JSON.stringify([verdict, [...contested]]) : '';
    if (held?.verdict === text) return held.admitted;
    const admitted = admit(remote, verdict ?? CLEAN, contested);
    if (held !== undefined) Object.assign(held, { admitted, verdict: text });
    return admitted;
  }

  return (remotes) => {
    learn(remotes);
    const verdicts = resolve(ranges);
    return {
      admitted: remotes.map((remote) => judge(remote, verdicts.get(remote))),
      ...shown(ranges, verdicts),
    };
  };
}

function inOrder(a: Range, b: Range): number {
  if (a.first !== b.first) return a.first < b.first ? -1 : 1;
  return a.last === b.last ? 0 : a.last > b.last ? -1 : 1;
}

/** Everything that a remote CIDR would take from this host if it were routed. */
function ownRanges({ own, fabric, host }: Standpoint): Range[] {
  const nodes = [...own.nodes.flatMap(({ addresses }) => addresses), ...host.addresses];
  const cidrs = [...own.podCidrs, ...own.serviceCidrs, fabric.v4, fabric.v6, ...nodes.map(addressCidr)];
  return [...new Set(cidrs)]
    .map((cidr) => rangeOf(cidr))
    .concat(indexRange(own.index))
    .sort(inOrder);
}

function remoteRanges(remote: RemoteCluster): Range[] {
  return [
    ...[...new Set(remote.podCidrs)].map((cidr) => rangeOf(cidr, remote, 'pod')),
    ...[...new Set(remote.serviceCidrs)].map((cidr) => rangeOf(cidr, remote, 'service')),
    indexRange(remote.index, remote),
  ];
}

function admit(remote: RemoteCluster, verdict: Verdict, contested: ReadonlySet<PublicKey>): Admitted {
  const { id: cluster } = remote;
  const { dropped, refused } = verdict;
  const conditions: Condition[] = [];
  if (refused !== undefined)
    conditions.push(condition('IST_CLAIM_OVERLAP', cluster, { cluster, ...refused }));
  if (contested.size > 0) conditions.push(condition('IST_KEY_CONTESTED', cluster, { cluster }));
  const cidrs = new Set([...remote.podCidrs, ...remote.serviceCidrs]);
  return {
    remote,
    routed: refused === undefined ? sorted(new Set(remote.podCidrs)) : [],
    guarded: [...cidrs].filter((cidr) => !dropped.includes(cidr)),
    contested,
    conditions,
  };
}

/** What all remotes together have, out of their sorted ranges. */
function shown(
  ranges: readonly Range[],
  verdicts: ReadonlyMap<RemoteCluster, Verdict>,
): Pick<Claims, 'far' | 'guarded'> {
  const far: Cidr[] = [];
  const guarded: Cidr[] = [];
  let end = -1n;
  for (const { owner, cidr, kind, last } of ranges) {
    if (owner === undefined || cidr === undefined) continue;
    const { dropped, refused } = verdicts.get(owner) ?? CLEAN;
    if (!dropped.includes(cidr) && guarded.at(-1) !== cidr) guarded.push(cidr);
    if (kind !== 'pod' || refused !== undefined || last <= end) continue;
    far.push(cidr);
    end = last;
  }
  return { far, guarded };
}
