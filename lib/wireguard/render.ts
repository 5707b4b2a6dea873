// Us to device: the arguments of `wg set`, and text for `wg addconf … /dev/stdin` where those would not do.
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

/** Peers that are told by arguments: one process, where a file takes three. */
const FEW_PEERS = 32;

/**
 * The whole change as arguments after `wg set <device>`, additions first. Undefined where it needs a file: it says a
 * key, or more peers than a command line is good for.
 */
export function renderArguments(change: DeviceChange): string[] | undefined {
  const { add, remove, listenPort, fwmark } = change;
  const isSecret = change.key || change.change.some(({ clearPresharedKey }) => clearPresharedKey);
  const written = [...add, ...change.change];
  if (isSecret || written.length + remove.length > FEW_PEERS) return undefined;
  return [
    ...(listenPort === undefined ? [] : ['listen-port', String(listenPort)]),
    ...(fwmark === undefined ? [] : ['fwmark', String(fwmark)]),
    ...written.flatMap(peerArguments),
    ...remove.flatMap((key) => ['peer', key, 'remove']),
  ];
}

function peerArguments({ publicKey, endpoint, allowedIps, keepalive }: PeerConfig): string[] {
  return [
    'peer',
    publicKey,
    ...(endpoint === undefined ? [] : ['endpoint', endpointText(endpoint)]),
    'persistent-keepalive',
    String(keepalive),
    'allowed-ips',
    allowedIps.join(','),
  ];
}

/** Arguments after `wg set <device>`, one list a call. */
export function renderRemovals(change: DeviceChange): string[][] {
  const calls: string[][] = [];
  for (let at = 0; at < change.remove.length; at += PEERS_AT_ONCE)
    calls.push(change.remove.slice(at, at + PEERS_AT_ONCE).flatMap((key) => ['peer', key, 'remove']));
  return calls;
}
