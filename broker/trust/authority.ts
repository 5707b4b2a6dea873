// Who may speak for the clusterset: the root, and the membership key that the root delegates to.
//
//   root (offline) ──delegation──► membership key (on the broker's host) ──► certificates, revocations, beacons
//
// What the membership key signs carries the delegation inside, so every statement can be checked alone.

import * as v from 'valibot';
import type { SigningKey, VerifyingKey } from './keys.ts';
import { keyId } from './keys.ts';
import { readHeader, text, verifyingKey } from './header.ts';
import { refuse } from './refusal.ts';
import type { Domain, Statement } from './statement.ts';
import { signStatement, splitStatement, verifyStatement } from './statement.ts';

/** In whose name a statement of the clusterset was signed. */
export type Signer = 'root' | 'membership';

const DELEGATION = v.object({ clusterset: text(64), key: verifyingKey(), issuedAt: text(40) });

/** Delegations that one process ever meets: one for each membership key that was in use. */
const MAX_REMEMBERED = 64;

/** The clusterset's id follows from its root key, so nobody can claim another clusterset's. */
export function clustersetId(root: VerifyingKey): string {
  return keyId(root);
}

/** Certifies the membership key. Made once, by whoever holds the root. */
export function signDelegation(root: SigningKey, key: VerifyingKey, issuedAt: Date): Uint8Array {
  const header = { clusterset: clustersetId(root.publicKey), key, issuedAt: issuedAt.toISOString() };
  return signStatement('isthmus-delegation-v1', header, new Uint8Array(), root);
}

/** A key that speaks for the clusterset: the root's own, or the membership key with its delegation. */
export interface AuthorityKey {
  readonly key: SigningKey;
  readonly clusterset: string;
  /** Absent: the key is the root. */
  readonly delegation?: Uint8Array;
}

/** The root as an authority. */
export function rootAuthority(root: SigningKey): AuthorityKey {
  return { key: root, clusterset: clustersetId(root.publicKey) };
}

/**
 * The membership key as an authority.
 * @throws {Refused} when the delegation is not the root's word for this key
 */
export function membershipAuthority(
  key: SigningKey,
  delegation: Uint8Array,
  root: VerifyingKey,
): AuthorityKey {
  const delegated = openDelegation(root, delegation);
  if (delegated !== key.publicKey) refuse('untrusted-signer', 'the delegation is for another key');
  return { key, clusterset: clustersetId(root), delegation };
}

/** Signs in the clusterset's name. */
export function signByAuthority(
  domain: Domain,
  header: object,
  payload: Uint8Array,
  authority: AuthorityKey,
): Uint8Array {
  const { key, clusterset, delegation } = authority;
  const chain = delegation === undefined ? {} : { delegation: Buffer.from(delegation).toString('base64') };
  return signStatement(domain, { clusterset, ...header, ...chain }, payload, key);
}

/** The pinned root, as a judge of statements. */
export interface Root {
  readonly key: VerifyingKey;
  readonly clusterset: string;
  /**
   * Verifies a statement that carries `delegation` (absent: signed by the root itself).
   * @throws {Refused} `untrusted-signer` or `bad-signature`
   */
  verify(statement: Statement, delegation: string | undefined): Signer;
}

/** Remembers the delegations that it has verified: a thousand certificates carry the same one. */
export function pinRoot(key: VerifyingKey): Root {
  const known = new Map<string, VerifyingKey>();
  const delegate = (text: string): VerifyingKey => {
    const found = known.get(text) ?? openDelegation(key, Buffer.from(text, 'base64'));
    if (known.size < MAX_REMEMBERED) known.set(text, found);
    return found;
  };
  return {
    key,
    clusterset: clustersetId(key),
    verify(statement, delegation) {
      verifyStatement(statement, delegation === undefined ? key : delegate(delegation));
      return delegation === undefined ? 'root' : 'membership';
    },
  };
}

/** @throws {Refused} `untrusted-signer` for everything that is wrong with it */
function openDelegation(root: VerifyingKey, bytes: Uint8Array): VerifyingKey {
  try {
    const statement = splitStatement('isthmus-delegation-v1', bytes);
    verifyStatement(statement, root);
    const header = readHeader(DELEGATION, statement);
    if (header.clusterset === clustersetId(root)) return header.key;
  } catch {
    // The one reason below says it all: this root did not sign it.
  }
  return refuse('untrusted-signer', 'the signer holds no delegation of the pinned root');
}
