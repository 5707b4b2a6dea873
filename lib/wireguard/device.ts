// What a WireGuard device holds: the read model. The write model is config.ts.
// This module is pure.

import type { Cidr } from '#lib/ip';
import type { Endpoint } from './config.ts';
import type { PublicKey } from './public-key.ts';

export interface Peer {
  readonly publicKey: PublicKey;
  /** We never use one, so one that is there was put there by hand. The key itself is not kept. */
  readonly hasPresharedKey: boolean;
  /** Where its last valid packet came from, else where it was configured to be. */
  readonly endpoint?: Endpoint;
  readonly allowedIps: readonly Cidr[];
  /** Seconds since 1970; 0 is never. */
  readonly latestHandshake: number;
  /** Bytes. */
  readonly received: number;
  readonly sent: number;
  /** Seconds; 0 is off. */
  readonly keepalive: number;
}

export interface Device {
  readonly name: string;
  /** Absent: the device has no key yet. The private one is not kept. */
  readonly publicKey?: PublicKey;
  readonly listenPort: number;
  /** 0 is off. */
  readonly fwmark: number;
  /** In the device's own order. */
  readonly peers: readonly Peer[];
}
