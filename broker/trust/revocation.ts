// Revocations: the end of a membership, and who may end it.
//
//   signed by            cuts the member off   frees its id and CIDRs
//   the member itself    yes (it left)         yes
//   the root             yes                   yes
//   the membership key   yes                   no, until the root or the member says so
//
// The membership key is online. If it could free what it revokes, whoever stole it could revoke "west" and then
// certify itself as "west"; so it can only cut off.

import * as v from 'valibot';
import type { AuthorityKey, Root } from './authority.ts';
import { signByAuthority } from './authority.ts';
import type { SignedCertificate } from './certificate.ts';
import { openCertificate } from './certificate.ts';
import { readHeader, text } from './header.ts';
import type { SigningKey } from './keys.ts';
import { refuse } from './refusal.ts';
import type { Statement } from './statement.ts';
import { isOfDomain, signStatement, splitStatement, statementDigest, verifyStatement } from './statement.ts';

/** Whose decision the end was. */
export type RevokedBy = 'member' | 'root' | 'membership';

/** A revocation that the pinned root, or the member itself, stands behind. */
export interface SignedRevocation {
  /** The certificate that it ends, with every earlier one of the same cluster. */
  readonly certificate: SignedCertificate;
  readonly by: RevokedBy;
  readonly reason: string;
  readonly bytes: Uint8Array;
  readonly digest: string;
}

const SCHEMA = v.object({
  clusterset: text(64),
  by: v.picklist(['member', 'root', 'membership']),
  reason: text(256),
  issuedAt: text(40),
  delegation: v.exactOptional(text(2048)),
});

/** Ends a membership in the clusterset's name: the root's word frees id and CIDRs, the membership key's does not. */
export function signRevocation(
  authority: AuthorityKey,
  certificate: Uint8Array,
  reason: string,
  issuedAt: Date,
): Uint8Array {
  const by = authority.delegation === undefined ? 'root' : 'membership';
  const header = { by, reason, issuedAt: issuedAt.toISOString() };
  return signByAuthority('isthmus-revocation-v1', header, certificate, authority);
}

/** A member's own word that it leaves. */
export function signDeparture(
  identity: SigningKey,
  clusterset: string,
  certificate: Uint8Array,
  issuedAt: Date,
): Uint8Array {
  const header = { clusterset, by: 'member', reason: 'left', issuedAt: issuedAt.toISOString() };
  return signStatement('isthmus-revocation-v1', header, certificate, identity);
}

/** What the bytes say that they are; the signature covers it. */
export function isRevocation(bytes: Uint8Array): boolean {
  return isOfDomain('isthmus-revocation-v1', bytes);
}

/** @throws {Refused} `oversized`, `malformed`, `wrong-clusterset`, `untrusted-signer`, `bad-signature` */
export function openRevocation(root: Root, bytes: Uint8Array): SignedRevocation {
  const statement = splitStatement('isthmus-revocation-v1', bytes);
  const { clusterset, by, reason, delegation } = readHeader(SCHEMA, statement);
  if (clusterset !== root.clusterset) refuse('wrong-clusterset', `it is for the clusterset ${clusterset}`);
  const certificate = openCertificate(root, statement.payload);
  verifyEnder(root, statement, { by, delegation, certificate });
  return { certificate, by, reason, bytes: statement.bytes, digest: statementDigest(statement) };
}

interface Ender {
  readonly by: RevokedBy;
  readonly delegation: string | undefined;
  readonly certificate: SignedCertificate;
}

function verifyEnder(root: Root, statement: Statement, { by, delegation, certificate }: Ender): void {
  if (by === 'member') {
    verifyStatement(statement, certificate.identity);
  } else if (root.verify(statement, delegation) !== by) {
    refuse('untrusted-signer', `it says that the ${by} signed it, which is not so`);
  }
}
