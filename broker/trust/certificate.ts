// Membership certificates: the clusterset's word for who a cluster is, and what is its own.

import { MAX_INDEX } from '#lib/constants';
import type { Cidr } from '#lib/ip';
import { firstOverlap, overlaps } from '#lib/ip';
import type { ClusterId } from '#lib/names';
import * as v from 'valibot';
import type { AuthorityKey, Root, Signer } from './authority.ts';
import { signByAuthority } from './authority.ts';
import type { Account } from './header.ts';
import { account, cidrs, clusterId, integer, readHeader, text, verifyingKey } from './header.ts';
import type { VerifyingKey } from './keys.ts';
import { refuse } from './refusal.ts';
import { splitStatement, statementDigest } from './statement.ts';

/** What a certificate says. */
export interface Certificate {
  readonly cluster: ClusterId;
  /** The NATS account that is this cluster's and nobody else's. */
  readonly account: Account;
  /** Signs the cluster's records. Its other half never leaves the cluster. */
  readonly identity: VerifyingKey;
  /** 1–1023: the cluster's place in the fabric prefixes. */
  readonly index: number;
  readonly podCidrs: readonly Cidr[];
  readonly serviceCidrs: readonly Cidr[];
  /** Service slots that the cluster may fill: 16, 64 or 256. */
  readonly slots: number;
  /** Counts up over all certificates of the clusterset; the higher one replaces the lower. */
  readonly serial: number;
  /** ISO 8601. After it the certificate should be renewed, which is reported; nothing is cut off by a clock. */
  readonly notAfter?: string;
}

/** A certificate that the pinned root stands behind. */
export interface SignedCertificate extends Certificate {
  readonly bytes: Uint8Array;
  /** SHA-256 of what is signed, hexadecimal. */
  readonly digest: string;
  readonly signer: Signer;
}

const SCHEMA = v.object({
  clusterset: text(64),
  cluster: clusterId(),
  account: account(),
  identity: verifyingKey(),
  index: integer(1, MAX_INDEX),
  podCidrs: cidrs(),
  serviceCidrs: cidrs(),
  slots: v.picklist([16, 64, 256]),
  serial: integer(1, Number.MAX_SAFE_INTEGER),
  issuedAt: text(40),
  notAfter: v.exactOptional(text(40)),
  delegation: v.exactOptional(text(2048)),
});

/** Signs a certificate; the caller has checked it against the other members'. */
export function signCertificate(
  authority: AuthorityKey,
  certificate: Certificate,
  issuedAt: Date,
): Uint8Array {
  const { cluster, account, identity, index, podCidrs, serviceCidrs, slots, serial, notAfter } = certificate;
  const body = { cluster, account, identity, index, podCidrs, serviceCidrs, slots, serial };
  const dates = { issuedAt: issuedAt.toISOString(), ...(notAfter === undefined ? {} : { notAfter }) };
  return signByAuthority('isthmus-certificate-v1', { ...body, ...dates }, new Uint8Array(), authority);
}

/**
 * Opens a certificate and verifies it up to the root. Its place among other members is the ledger's to judge.
 * @throws {Refused} `oversized`, `malformed`, `wrong-clusterset`, `untrusted-signer`, `bad-signature`
 */
export function openCertificate(root: Root, bytes: Uint8Array): SignedCertificate {
  const statement = splitStatement('isthmus-certificate-v1', bytes);
  const { clusterset, delegation, issuedAt: _, ...certificate } = readHeader(SCHEMA, statement);
  if (clusterset !== root.clusterset) refuse('wrong-clusterset', `it is for the clusterset ${clusterset}`);
  const signer = root.verify(statement, delegation);
  refuseOwnOverlap([...certificate.podCidrs, ...certificate.serviceCidrs]);
  return { ...certificate, bytes: statement.bytes, digest: statementDigest(statement), signer };
}

/** CIDRs of one cluster must not overlap among themselves, else a packet's destination is two things. */
function refuseOwnOverlap(all: readonly Cidr[]): void {
  all.forEach((cidr, at) => {
    const other = all.slice(at + 1).find((later) => overlaps(cidr, later));
    if (other !== undefined) refuse('malformed', `its CIDRs ${cidr} and ${other} overlap`);
  });
}

/** The first CIDRs that two clusters both claim. */
export function sharedCidr(
  a: Certificate,
  claims: Pick<Certificate, 'podCidrs' | 'serviceCidrs'>,
): readonly [Cidr, Cidr] | undefined {
  return firstOverlap([...a.podCidrs, ...a.serviceCidrs], [...claims.podCidrs, ...claims.serviceCidrs]);
}
