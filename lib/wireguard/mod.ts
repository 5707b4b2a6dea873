// A wrapper around wireguard-tools: what WireGuard devices hold, and making them hold what is wanted.

export type { DeviceConfig, Endpoint, PeerConfig } from './config.ts';
export { PrivateKey } from './key.ts';
export type { PublicKey } from './key.ts';
