// What to do to a WireGuard device: the write model. The read model is device.ts.
// This module is pure.

import type { Address, Cidr } from '#lib/ip';
import type { PrivateKey } from './key.ts';
import type { PublicKey } from './public-key.ts';

export interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

/** One wanted peer. */
export interface PeerConfig {
  readonly publicKey: PublicKey;
  /** Absent: leave alone what the device has (a roaming peer's endpoint is learnt, never cleared). */
  readonly endpoint?: Endpoint;
  /** The whole list; empty means none. */
  readonly allowedIps: readonly Cidr[];
  /** Seconds; 0 is off. Always written explicitly. */
  readonly keepalive: number;
}

/** The whole wanted state of one device: peers that are not listed are removed. */
export interface DeviceConfig {
  readonly name: string;
  readonly privateKey: PrivateKey;
  readonly listenPort: number;
  /** 0 is off. */
  readonly fwmark: number;
  /** Sorted by public key. */
  readonly peers: readonly PeerConfig[];
}
