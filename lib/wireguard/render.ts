// Us to device: text for `wg addconf … /dev/stdin`, and the arguments of `wg set` for what a file cannot say.
// This module is pure.

import type { Endpoint, PeerConfig } from './config.ts';
import type { DeviceChange, PeerChange } from './diff.ts';

/** How a file says "no preshared key". */
const NO_KEY = `${'A'.repeat(43)}=`;
/** Peers in one `wg set`: 54 bytes each, and Linux allows 2 MiB of arguments. */
const PEERS_AT_ONCE = 500;

/**
 * The file, undefined where it would say nothing. `addconf` leaves alone what is not named, and replaces the allowed IPs
 * of a peer that is (an empty list by leaving the line out). Keepalive is always written: wireguard-tools before 2026
 * keeps an old one that the text omits.
 */
export function renderConf(change: DeviceChange, privateKey: string): string | undefined {
  const settings = [
    ...(change.key ? [`PrivateKey = ${privateKey}`] : []),
    ...(change.listenPort === undefined ? [] : [`ListenPort = ${change.listenPort}`]),
    ...(change.fwmark === undefined ? [] : [`FwMark = ${change.fwmark === 0 ? 'off' : change.fwmark}`]),
  ];
  const peers = [...change.add, ...change.change].flatMap(peerLines);
  if (settings.length + peers.length === 0) return undefined;
  const head = settings.length === 0 ? [] : ['[Interface]', ...settings];
  return `${[...head, ...peers].join('\n')}\n`;
}

function peerLines(peer: PeerConfig | PeerChange): string[] {
  const clear = 'clearPresharedKey' in peer && peer.clearPresharedKey;
  return [
    '[Peer]',
    `PublicKey = ${peer.publicKey}`,
    ...(clear ? [`PresharedKey = ${NO_KEY}`] : []),
    ...(peer.endpoint === undefined ? [] : [`Endpoint = ${endpointText(peer.endpoint)}`]),
    ...(peer.allowedIps.length === 0 ? [] : [`AllowedIPs = ${peer.allowedIps.join(', ')}`]),
    `PersistentKeepalive = ${peer.keepalive}`,
  ];
}

/** `192.0.2.1:51820`, `[2001:db8::1]:51820`. */
export function endpointText({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Arguments after `wg set <device>`, one list a call. */
export function renderRemovals(change: DeviceChange): string[][] {
  const calls: string[][] = [];
  for (let at = 0; at < change.remove.length; at += PEERS_AT_ONCE)
    calls.push(change.remove.slice(at, at + PEERS_AT_ONCE).flatMap((key) => ['peer', key, 'remove']));
  return calls;
}
