// Which clusters show which WireGuard public key.
// This module is pure.

import type { PublicKey } from '#lib/wireguard';
import type { RemoteCluster } from './fleet.ts';
import { byAge } from './ranges.ts';

export interface Keyring {
  update(added: readonly RemoteCluster[], gone: readonly RemoteCluster[]): void;
  /**
   * Keys of the remote that an older cluster shows too. One interface has one peer per key: without this, a member that
   * copies another's key from its record would take over that peer's CIDRs everywhere.
   */
  contested(remote: RemoteCluster): ReadonlySet<PublicKey>;
}

const NONE: ReadonlySet<PublicKey> = new Set();

export function createKeyring(): Keyring {
  const holders = new Map<PublicKey, ReadonlySet<RemoteCluster>>();
  const shared = new Set<PublicKey>();

  function set(key: PublicKey, clusters: ReadonlySet<RemoteCluster>): void {
    if (clusters.size === 0) holders.delete(key);
    else holders.set(key, clusters);
    if (clusters.size > 1) shared.add(key);
    else shared.delete(key);
  }

  return {
    update(added, gone) {
      for (const remote of gone) {
        for (const key of keysOf(remote)) set(key, without(holders.get(key), remote));
      }
      for (const remote of added) {
        for (const key of keysOf(remote)) set(key, new Set([...(holders.get(key) ?? []), remote]));
      }
    },
    contested(remote) {
      if (shared.size === 0) return NONE;
      return new Set(keysOf(remote).filter((key) => shared.has(key) && !isOldest(remote, holders.get(key))));
    },
  };
}

function keysOf({ gateways }: RemoteCluster): PublicKey[] {
  return gateways.flatMap(({ keys }) => keys);
}

function without(
  clusters: ReadonlySet<RemoteCluster> | undefined,
  remote: RemoteCluster,
): ReadonlySet<RemoteCluster> {
  return new Set([...(clusters ?? [])].filter((each) => each !== remote));
}

function isOldest(remote: RemoteCluster, clusters: ReadonlySet<RemoteCluster> | undefined): boolean {
  return [...(clusters ?? [])].every((other) => byAge(remote, other) <= 0);
}
