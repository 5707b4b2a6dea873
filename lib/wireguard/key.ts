// WireGuard's private keys: they do not print.

import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  timingSafeEqual,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { inspect } from 'node:util';
import { faultOf, isPublicKey, parsePublicKey } from './public-key.ts';
import type { PublicKey } from './public-key.ts';

/** RFC 8410: a PKCS #8 X25519 private key is this and its 32 bytes. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
/** RFC 8410: an X25519 public key likewise. */
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

/**
 * A Curve25519 private key. It is held clamped (RFC 7748 §5), as the kernel shows it. Nothing prints it: text, JSON and
 * inspection give `[redacted]`; only {@link reveal} does, for stdin of `wg` and for key files.
 */
export class PrivateKey {
  readonly #bytes: Uint8Array;
  readonly publicKey: PublicKey;

  private constructor(bytes: Uint8Array) {
    this.#bytes = clamped(bytes);
    this.publicKey = derive(this.#bytes);
  }

  static generate(): PrivateKey {
    const der = generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'der' });
    return new PrivateKey(der.subarray(PKCS8_PREFIX.length));
  }

  /** Throws SyntaxError, which does not repeat the text. */
  static parse(base64: string): PrivateKey {
    if (!isPublicKey(base64)) throw new SyntaxError(`Cannot parse private key: ${faultOf(base64)}`);
    return new PrivateKey(Buffer.from(base64, 'base64'));
  }

  /** In constant time. */
  equals(other: PrivateKey): boolean {
    return timingSafeEqual(this.#bytes, other.#bytes);
  }

  /**
   * What only the holders of this key and of the peer's can make: 32 bytes by X25519 (RFC 7748 §6.1) and HKDF-SHA-256
   * (RFC 5869). `info` names the use, so that no two uses share a key. Like this one, it does not print.
   * @throws {RangeError} for a peer's key of small order: everybody knows the secret that it gives
   */
  shared(peer: PublicKey, info: string): KeyObject {
    const der = Buffer.concat([SPKI_PREFIX, Buffer.from(peer, 'base64')]);
    const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' });
    try {
      const secret = diffieHellman({ privateKey: keyObject(this.#bytes), publicKey });
      return createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', info, 32)));
    } catch (cause) {
      throw new RangeError(`Cannot share a secret with "${peer}": it is a key of small order`, { cause });
    }
  }

  reveal(): string {
    return Buffer.from(this.#bytes).toString('base64');
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  [inspect.custom](): string {
    return `PrivateKey [redacted] of ${this.publicKey}`;
  }
}

function clamped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[0] = (copy[0] ?? 0) & 248;
  copy[31] = ((copy[31] ?? 0) & 127) | 64;
  return copy;
}

function keyObject(bytes: Uint8Array): KeyObject {
  const key = Buffer.concat([PKCS8_PREFIX, bytes]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

function derive(bytes: Uint8Array): PublicKey {
  const spki = createPublicKey(keyObject(bytes)).export({ type: 'spki', format: 'der' });
  return parsePublicKey(spki.subarray(-32).toString('base64'));
}
