// A device as it is and as it is wanted in, what to tell it out.
// This module is pure.

import type { DeviceConfig, Endpoint, PeerConfig } from './config.ts';
import type { Device, Peer } from './device.ts';
import type { PublicKey } from './public-key.ts';

/** What to tell one device. A setting that is absent stays as it is. */
export interface DeviceChange {
  readonly name: string;
  /** The private key is taken from the wanted config when this is rendered. */
  readonly key: boolean;
  readonly listenPort?: number;
  readonly fwmark?: number;
  readonly add: readonly PeerConfig[];
  readonly change: readonly PeerChange[];
  readonly remove: readonly PublicKey[];
}

/** `endpoint` only where it has to be written. */
export type PeerChange = PeerConfig & { readonly clearPresharedKey: boolean };

export interface DiffOptions {
  /** Seconds since 1970. */
  readonly now: number;
  /** What was wanted before: an endpoint that is another one since is written at once. */
  readonly before?: DeviceConfig | undefined;
}

/** Seconds after which a session is dead (WireGuard's REJECT_AFTER_TIME): until then, a peer is where it speaks from. */
export const FRESH_SECONDS = 180;

/** Throws RangeError where two peers of the device claim one CIDR: the kernel would give it to either, silently. */
export function checkConfig(config: DeviceConfig): void {
  const claimed = new Map<string, PublicKey>();
  for (const { publicKey, allowedIps } of config.peers)
    for (const cidr of allowedIps) {
      const other = claimed.get(cidr);
      if (other !== undefined)
        throw new RangeError(
          `Cannot configure "${config.name}": ${cidr} is claimed by ${other} and ${publicKey}`,
        );
      claimed.set(cidr, publicKey);
    }
}

/** Undefined where the device is as wanted. */
export function diffDevice(have: Device, want: DeviceConfig, options: DiffOptions): DeviceChange | undefined {
  const held = new Map(have.peers.map((peer) => [peer.publicKey, peer]));
  const wanted = new Set(want.peers.map(({ publicKey }) => publicKey));
  const before = new Map(options.before?.peers.map((peer) => [peer.publicKey, peer]));
  const moved = claims(have, want);
  const change = want.peers.flatMap((peer) => {
    const from = held.get(peer.publicKey);
    if (from === undefined) return [];
    return diffPeer(from, peer, { now: options.now, before: before.get(peer.publicKey), moved }) ?? [];
  });
  const gains = ({ allowedIps }: PeerConfig): boolean => allowedIps.some((cidr) => moved.has(cidr));
  const result: DeviceChange = {
    name: want.name,
    key: have.publicKey !== want.privateKey.publicKey,
    ...(have.listenPort !== want.listenPort && { listenPort: want.listenPort }),
    ...(have.fwmark !== want.fwmark && { fwmark: want.fwmark }),
    add: want.peers.filter(({ publicKey }) => !held.has(publicKey)),
    // Who gains a CIDR comes before who loses it: the addition moves it, and nobody is without it meanwhile.
    change: [...change.filter(gains), ...change.filter((peer) => !gains(peer))],
    remove: have.peers.map(({ publicKey }) => publicKey).filter((key) => !wanted.has(key)),
  };
  return isNothing(result) ? undefined : result;
}

function isNothing(change: DeviceChange): boolean {
  const settings = change.key || change.listenPort !== undefined || change.fwmark !== undefined;
  return !settings && change.add.length + change.change.length + change.remove.length === 0;
}

/** CIDRs that some peer is to have and does not have yet: giving them takes them from whoever has them. */
function claims(have: Device, want: DeviceConfig): ReadonlySet<string> {
  const owner = new Map(have.peers.flatMap((peer) => peer.allowedIps.map((cidr) => [cidr, peer.publicKey])));
  return new Set(
    want.peers.flatMap((peer) => peer.allowedIps.filter((cidr) => owner.get(cidr) !== peer.publicKey)),
  );
}

interface PeerOptions {
  readonly now: number;
  readonly before: PeerConfig | undefined;
  readonly moved: ReadonlySet<string>;
}

function diffPeer(held: Peer, peer: PeerConfig, options: PeerOptions): PeerChange | undefined {
  const clearPresharedKey = held.hasPresharedKey;
  const { endpoint, ...rest } = peer;
  const written = endpoint !== undefined && mustWrite(held, endpoint, options) ? { endpoint } : {};
  const same =
    !clearPresharedKey &&
    !('endpoint' in written) &&
    held.keepalive === peer.keepalive &&
    sameIps(held, peer, options.moved);
  return same ? undefined : { ...rest, ...written, clearPresharedKey };
}

/** A CIDR that only moves away is not a difference here: the addition elsewhere moves it, without a gap. */
function sameIps(held: Peer, peer: PeerConfig, moved: ReadonlySet<string>): boolean {
  const has = new Set(held.allowedIps);
  const wants = new Set(peer.allowedIps);
  return (
    peer.allowedIps.every((cidr) => has.has(cidr)) &&
    held.allowedIps.every((cidr) => wants.has(cidr) || moved.has(cidr))
  );
}

/** A peer that roamed and is alive is left where it is, unless its configured endpoint has changed since. */
function mustWrite(held: Peer, endpoint: Endpoint, { now, before }: PeerOptions): boolean {
  if (held.endpoint === undefined) return true;
  if (sameEndpoint(held.endpoint, endpoint)) return false;
  const isFresh = now - held.latestHandshake < FRESH_SECONDS;
  const isNew =
    before !== undefined && (before.endpoint === undefined || !sameEndpoint(before.endpoint, endpoint));
  return isNew || !isFresh;
}

function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.address === b.address;
}
