// What applying would change in WireGuard's devices, as lines.

import { diffDevice, endpointText, PrivateKey } from '#lib/wireguard';
import type { Device, DeviceChange, PeerConfig } from '#lib/wireguard';
import type { DevicePlan } from '#topology';
import { describe } from './changes.ts';
import type { Line } from './changes.ts';

/** @param now seconds since 1970 */
export function deviceLines(
  held: readonly Device[],
  wanted: readonly DevicePlan[],
  now: number,
): readonly Line[] {
  const byName = new Map(held.map((device) => [device.name, device]));
  // Keys are not part of a plan. A stand-in makes the key differ on every device, which is not reported.
  const privateKey = PrivateKey.generate();
  return wanted.flatMap(({ lane: _lane, ...plan }) => {
    const device = byName.get(plan.name) ?? { name: plan.name, listenPort: 0, fwmark: 0, peers: [] };
    const change = diffDevice(device, { ...plan, privateKey }, { now });
    return change === undefined ? [] : changeLines(change);
  });
}

function changeLines({ name, listenPort, fwmark, add, change, remove }: DeviceChange): Line[] {
  const settings = { listenPort, fwmark };
  const changed = Object.values(settings).some((value) => value !== undefined);
  return [
    ...(changed ? [{ sign: '~', text: describe(`device ${name}`, settings) } as const] : []),
    ...add.map((peer): Line => ({ sign: '+', text: peerText(name, peer) })),
    ...change.map((peer): Line => ({ sign: '~', text: peerText(name, peer) })),
    ...remove.map((key): Line => ({ sign: '-', text: `peer ${name} ${key}` })),
  ];
}

function peerText(device: string, { publicKey, endpoint, allowedIps, keepalive }: PeerConfig): string {
  const where = endpoint === undefined ? '' : ` endpoint ${endpointText(endpoint)}`;
  const ips = allowedIps.length === 0 ? 'none' : allowedIps.join(',');
  return `peer ${device} ${publicKey}${where} allowedIps ${ips}${keepalive === 0 ? '' : ` keepalive ${keepalive}`}`;
}
