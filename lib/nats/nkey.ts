// NATS keys: Ed25519 keys whose text names their role, with private ones that do not print.

import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { crc16, decodeBase32, encodeBase32 } from './base32.ts';

declare const brand: unique symbol;

/** Public half as text: `O…` operator, `A…` account, `U…` user, `N…` server. */
export type NkeyPublic = string & { readonly [brand]: 'nkey-public' };

export type NkeyRole = 'operator' | 'account' | 'user' | 'server';

/** Prefix bytes of NATS' `nkeys`: five significant bits, so that base32 begins with the role's letter. */
const PREFIX = { operator: 14 << 3, account: 0, user: 20 << 3, server: 13 << 3 } as const;
const SEED_PREFIX = 18 << 3;
const ROLES = ['operator', 'account', 'user', 'server'] as const;
/** RFC 8410 wrappers around the 32 raw bytes. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

function withChecksum(body: Uint8Array): string {
  const crc = crc16(body);
  return encodeBase32(Buffer.concat([body, Uint8Array.of(crc & 255, crc >> 8)]));
}

function checked(text: string, length: number): Uint8Array {
  const bytes = decodeBase32(text);
  if (bytes.length !== length) throw new SyntaxError('Cannot read NATS key: its length is wrong');
  const body = bytes.subarray(0, -2);
  const crc = crc16(body);
  if (bytes[length - 2] !== (crc & 255) || bytes[length - 1] !== crc >> 8) {
    throw new SyntaxError('Cannot read NATS key: its checksum does not match');
  }
  return body;
}

function roleOf(prefix: number): NkeyRole {
  const role = ROLES.find((candidate) => PREFIX[candidate] === prefix);
  if (role === undefined) throw new SyntaxError('Cannot read NATS key: its role is unknown');
  return role;
}

/**
 * Narrows text to a public key of the given role.
 * @throws {SyntaxError} when text is no such key
 */
export function parseNkeyPublic(text: string, role: NkeyRole): NkeyPublic {
  const body = checked(text, 35);
  if (roleOf(body[0] ?? -1) !== role || !isPublic(text)) {
    throw new SyntaxError(`Cannot read NATS key: it is not the public key of a ${role}`);
  }
  return text;
}

/** Narrows text to a public key of the given role, checksum included. */
export function isNkeyPublic(text: string, role: NkeyRole): text is NkeyPublic {
  try {
    return parseNkeyPublic(text, role) === text;
  } catch {
    return false;
  }
}

function isPublic(text: string): text is NkeyPublic {
  return /^[OAUN][A-Z2-7]{55}$/.test(text);
}

/** True when the holder of `key` signed exactly these bytes. */
export function verifyNkey(key: NkeyPublic, bytes: Uint8Array, signature: Uint8Array): boolean {
  const raw = checked(key, 35).subarray(1);
  const spki = createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' });
  return verify(null, bytes, spki, signature);
}

/** A private NATS key. Prints as its public half. */
export class Nkey {
  readonly role: NkeyRole;
  readonly publicKey: NkeyPublic;
  readonly #raw: Uint8Array;
  readonly #key: KeyObject;

  private constructor(role: NkeyRole, raw: Uint8Array) {
    this.role = role;
    this.#raw = raw;
    this.#key = createPrivateKey({ key: Buffer.concat([PKCS8, raw]), format: 'der', type: 'pkcs8' });
    const spki = createPublicKey(this.#key).export({ format: 'der', type: 'spki' });
    const text = withChecksum(Buffer.concat([Uint8Array.of(PREFIX[role]), spki.subarray(SPKI.length)]));
    this.publicKey = parseNkeyPublic(text, role);
  }

  static generate(role: NkeyRole, random: (length: number) => Uint8Array = randomBytes): Nkey {
    return new Nkey(role, random(32));
  }

  /** @throws {SyntaxError} when text is no seed (`SO…`, `SA…`, `SU…`, `SN…`) */
  static parse(seed: string): Nkey {
    const body = checked(seed.trim(), 36);
    const [first = 0, second = 0] = body;
    if ((first & 0xf8) !== SEED_PREFIX) throw new SyntaxError('Cannot read NATS key: it is not a seed');
    return new Nkey(roleOf(((first & 7) << 5) | ((second & 0xf8) >> 3)), body.slice(2));
  }

  sign(bytes: Uint8Array): Buffer {
    return sign(null, bytes, this.#key);
  }

  /** The seed, for key files only. */
  reveal(): string {
    const prefix = PREFIX[this.role];
    const head = Uint8Array.of(SEED_PREFIX | (prefix >> 5), (prefix & 31) << 3);
    return withChecksum(Buffer.concat([head, this.#raw]));
  }

  toString(): string {
    return `[private key of ${this.publicKey}]`;
  }

  toJSON(): string {
    return this.toString();
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}
