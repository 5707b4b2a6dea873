// A wrapper around wireguard-tools: what WireGuard devices hold, and making them hold what is wanted.
// The one invariant: a private key leaves this package only on the stdin of `wg` or by PrivateKey.reveal(). Devices get
// addresses, routes and their end from lib/linux; only the processes of userspace devices are started here.

export type { ApplyDevicesOptions, DevicesApplied } from './client.ts';
export { applyDevices, changeDevices, readDevices } from './client.ts';
export type { DeviceConfig, Endpoint, PeerConfig } from './config.ts';
export type { Device, Peer } from './device.ts';
export type { DeviceChange, PeerChange } from './diff.ts';
export { diffDevice } from './diff.ts';
export { WireGuardError } from './errors.ts';
export { PrivateKey } from './key.ts';
export { parseDump } from './parse.ts';
export type { PublicKey } from './public-key.ts';
export { isPublicKey, parsePublicKey } from './public-key.ts';
export { endpointText } from './render.ts';
export type { StartOptions, WireGuardKind, WireGuardSupport } from './support.ts';
export { detectWireGuard, openWireGuard, userspaceStarter } from './support.ts';
export type { Transfer } from './transfer.ts';
export { readTransfers } from './transfer.ts';
