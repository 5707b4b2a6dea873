// The fleet that the clusterset's verified records and the own site make together.
// This module is pure.

import type { ClustersetView, MemberView } from '#broker';
import type { ClusterId } from '#lib/names';
import type { Site } from '#site';
import type { Fleet, RemoteCluster } from '#topology';

/**
 * What the clusterset says of the own cluster.
 *
 *     member ──revocation──▶ revoked          its tunnels end, the others' CIDRs stay unreachable on its hosts
 *        └────own departure──▶ left           everything of ours goes from its hosts
 */
export type Membership = 'member' | 'revoked' | 'left';

export type Mapped =
  | { readonly membership: 'member' | 'revoked'; readonly fleet: Fleet }
  | { readonly membership: 'left' };

/**
 * Makes the mapping, for the own `cluster` as its certificate names it. It remembers what it made of each member, so that an unchanged member is the same
 * {@link RemoteCluster} object in the next fleet and the plan can keep what follows from it.
 */
export function fleetMapper(cluster: ClusterId): (view: ClustersetView, site: Site) => Mapped {
  const remoteOf = remembered(remoteCluster);
  const silenced = remembered((remote: RemoteCluster): RemoteCluster => ({ ...remote, gateways: [] }));
  return (view, site) => {
    // By the certificate's name: a slip in site.yaml's is no departure.
    const own = view.members.find((member) => member.cluster === cluster);
    const revoked = view.revoked.find((member) => member.cluster === cluster);
    const self = own ?? revoked;
    if (self === undefined) return { membership: 'left' };
    checkSite(site, self);
    const membership = own === undefined ? 'revoked' : 'member';
    const remotes = [...view.members, ...view.revoked]
      .filter((member) => member.cluster !== cluster)
      .map(remoteOf)
      .toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const reached = membership === 'member' ? remotes : remotes.map(silenced);
    return {
      membership,
      fleet: { fabric: view.fabric, own: { ...site, index: self.index }, remotes: reached },
    };
  };
}

/** The function, which makes each thing only once. */
function remembered<K extends object, V>(make: (key: K) => V): (key: K) => V {
  const made = new WeakMap<K, V>();
  return (key) => {
    const value = made.get(key) ?? make(key);
    made.set(key, value);
    return value;
  };
}

/**
 * With clusters that only the site directory still names. Nothing in it is signed, so nothing is sent to them; but their
 * addresses stay off the uplink.
 */
export function withGuards(fleet: Fleet, named: readonly RemoteCluster[]): Fleet {
  const known = new Set([fleet.own.id, ...fleet.remotes.map(({ id }) => id)]);
  const guarded = named.filter(({ id }) => !known.has(id)).map((remote) => ({ ...remote, gateways: [] }));
  const remotes = [...fleet.remotes, ...guarded].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return { ...fleet, remotes };
}

function remoteCluster({ cluster, index, podCidrs, serviceCidrs, gateways }: MemberView): RemoteCluster {
  return { id: cluster, index, podCidrs, serviceCidrs, gateways };
}

/** Other clusters accept exactly what the certificate names: a site that says otherwise would send packets that they drop. */
function checkSite(site: Site, certified: MemberView): void {
  if (site.id !== certified.cluster) {
    throw new RangeError(
      `Cannot use site.yaml: it describes cluster "${site.id}", and the membership here is of "${certified.cluster}". Correct the file, or leave and join as "${site.id}"`,
    );
  }
  for (const [field, said, wanted] of [
    ['podCIDRs', site.podCidrs, certified.podCidrs],
    ['serviceCIDRs', site.serviceCidrs, certified.serviceCidrs],
  ] as const) {
    if (said.toSorted().join(' ') === wanted.toSorted().join(' ')) continue;
    throw new RangeError(
      `Cannot use site.yaml: ${field} are ${list(said)}, the membership of "${site.id}" is for ${list(wanted)}. Correct the file, or join again with a token for what it says`,
    );
  }
}

function list(cidrs: readonly string[]): string {
  return cidrs.length === 0 ? 'none' : cidrs.join(', ');
}
