// The seal of a probe: made by one of two gateways whose lane keys the clusterset has certified.

import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { PrivateKey, PublicKey } from '#lib/wireguard';
import { SEAL_AT, SEAL_BYTES } from './message.ts';

/** Whose keys seal the probes of one tunnel. */
export interface Secret {
  readonly own: PrivateKey;
  readonly peer: PublicKey;
}

/** Two ends of a path, as the system prints their addresses. */
export interface Ends {
  readonly local: string;
  readonly remote: string;
}

/**
 * Names the use of the secret that two lane keys share. The ends stand in it, so that another pair of addresses has
 * another key.
 */
const USE = 'isthmus probe 1';

/**
 * The same at both ends.
 * @throws {RangeError} for a peer's key of small order
 */
export function probeKey({ own, peer }: Secret, { local, remote }: Ends): KeyObject {
  return own.shared(peer, [USE, ...[local, remote].toSorted()].join(' '));
}

/** From whom to whom: sealed as well, so that nobody's ask comes back to them as the far end's. */
export function direction(from: string, to: string): Buffer {
  return Buffer.from(`${from} ${to}`);
}

/** Puts the seal into the bytes. */
export function seal(bytes: Buffer, key: KeyObject, along: Buffer): void {
  sealOf(bytes, key, along).copy(bytes, SEAL_AT, 0, SEAL_BYTES);
}

/** Whether the far end has sealed it. */
export function isSealed(bytes: Buffer, key: KeyObject, along: Buffer): boolean {
  return isSame(sealIn(bytes), sealOf(bytes, key, along).subarray(0, SEAL_BYTES));
}

/** The seal that the bytes carry. */
export function sealIn(bytes: Buffer): Buffer {
  return bytes.subarray(SEAL_AT, SEAL_AT + SEAL_BYTES);
}

/** In constant time. */
export function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function sealOf(bytes: Buffer, key: KeyObject, along: Buffer): Buffer {
  return createHmac('sha256', key).update(bytes.subarray(0, SEAL_AT)).update(along).digest();
}
