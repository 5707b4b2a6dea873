// X.509 certificates (RFC 5280) of the broker: its own authority, which every token pins, and the server's.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { familyOf, offsetOf, parseAddress, parseCidr } from '#lib/ip';
import {
  bitString,
  explicit,
  implicit,
  integer,
  namedBits,
  octets,
  oid,
  sequence,
  setOf,
  time,
  TRUE,
  utf8,
} from './der.ts';

/** A certificate and its key, both PEM. */
export interface CertifiedKey {
  readonly certificate: string;
  readonly key: string;
}

export interface CertificateOptions {
  readonly name: string;
  readonly now: Date;
}

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const COMMON_NAME = '2.5.4.3';
const EXTENSION = {
  subjectKey: '2.5.29.14',
  keyUsage: '2.5.29.15',
  alternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKey: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const DIGITAL_SIGNATURE = 0x80;
const CERTIFICATE_SIGN = 0x04;
/** Members' clocks may be behind ours. */
const BACKDATE_MS = 48 * 3600 * 1000;
/** The authority is pinned in every membership, and the server's certificate is made anew at every start. */
const LIFETIME_YEARS = 30;

/** P-256: what every TLS library, also one restricted to FIPS algorithms, verifies. */
function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** A self-signed authority that may sign server certificates and nothing below them. */
export function issueAuthority(options: CertificateOptions): CertifiedKey {
  const key = newKey();
  const id = keyIdentifier(key);
  const extensions = [
    extension(EXTENSION.basicConstraints, sequence(TRUE, integer(Uint8Array.of(0))), true),
    extension(EXTENSION.keyUsage, namedBits(CERTIFICATE_SIGN), true),
    extension(EXTENSION.subjectKey, octets(id)),
  ];
  return issue({ ...options, issuer: options.name, key, signer: key, extensions });
}

/** A server's certificate for these host names and addresses. */
export function issueServerCertificate(
  authority: CertifiedKey & { readonly name: string },
  hosts: readonly string[],
  options: CertificateOptions,
): CertifiedKey {
  const key = newKey();
  const signer = createPrivateKey(authority.key);
  const extensions = [
    extension(EXTENSION.basicConstraints, sequence(), true),
    extension(EXTENSION.keyUsage, namedBits(DIGITAL_SIGNATURE), true),
    extension(EXTENSION.extendedKeyUsage, sequence(oid(SERVER_AUTH))),
    extension(EXTENSION.alternativeName, sequence(...hosts.map(generalName))),
    extension(EXTENSION.subjectKey, octets(keyIdentifier(key))),
    extension(EXTENSION.authorityKey, sequence(implicit(0, keyIdentifier(signer)))),
  ];
  return issue({ ...options, issuer: authority.name, key, signer, extensions });
}

interface Draft extends CertificateOptions {
  readonly issuer: string;
  readonly key: KeyObject;
  readonly signer: KeyObject;
  readonly extensions: readonly Uint8Array[];
}

function issue({ name, now, issuer, key, signer, extensions }: Draft): CertifiedKey {
  const from = new Date(now.getTime() - BACKDATE_MS);
  const until = new Date(now);
  until.setUTCFullYear(until.getUTCFullYear() + LIFETIME_YEARS);
  const signed = sequence(
    explicit(0, integer(Uint8Array.of(2))),
    integer(Uint8Array.of(1, ...randomBytes(15))),
    ECDSA_SHA256,
    distinguishedName(issuer),
    sequence(time(from), time(until)),
    distinguishedName(name),
    createPublicKey(key).export({ format: 'der', type: 'spki' }),
    explicit(3, sequence(...extensions)),
  );
  const bytes = sequence(signed, ECDSA_SHA256, bitString(sign('sha256', signed, signer)));
  return { certificate: pem(bytes), key: key.export({ format: 'pem', type: 'pkcs8' }).toString() };
}

function pem(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function distinguishedName(commonName: string): Uint8Array {
  return sequence(setOf(sequence(oid(COMMON_NAME), utf8(commonName))));
}

function extension(id: string, value: Uint8Array, critical = false): Uint8Array {
  return sequence(oid(id), ...(critical ? [TRUE] : []), octets(value));
}

/** RFC 5280 4.2.1.2, method 1 in spirit: any digest of the key will do. */
function keyIdentifier(key: KeyObject): Uint8Array {
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return createHash('sha256').update(spki).digest().subarray(0, 20);
}

/** dNSName [2] or iPAddress [7]. */
function generalName(host: string): Uint8Array {
  return isIP(host) === 0 ? implicit(2, Buffer.from(host, 'latin1')) : implicit(7, addressBytes(host));
}

function addressBytes(host: string): Uint8Array {
  const address = parseAddress(host);
  const [all, digits] = familyOf(address) === 4 ? ['0.0.0.0/0', 8] : ['::/0', 32];
  return Buffer.from(offsetOf(parseCidr(all), address).toString(16).padStart(digits, '0'), 'hex');
}
