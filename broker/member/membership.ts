// A cluster's membership on disk: what it needs to speak and to judge, in the secrets directory.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere, replaceFile } from '#lib/durable';
import { messageOf } from '#lib/errors';
import { parseCreds } from '#lib/nats';
import * as v from 'valibot';
import type { Root } from '../trust/authority.ts';
import { pinRoot } from '../trust/authority.ts';
import type { SignedCertificate } from '../trust/certificate.ts';
import { openCertificate } from '../trust/certificate.ts';
import type { Fabric } from '../trust/fabric.ts';
import { fabricOf } from '../trust/fabric.ts';
import type { Account } from '../trust/header.ts';
import { account, text, verifyingKey } from '../trust/header.ts';
import type { VerifyingKey } from '../trust/keys.ts';
import { SigningKey } from '../trust/keys.ts';

/** `membership.json`: nothing in it is secret, all of it is pinned at the join. */
export interface Membership {
  readonly root: VerifyingKey;
  readonly brokerAccount: Account;
  /** `tls://host:port` of the broker's servers. */
  readonly urls: readonly string[];
  /** PEM of the authority of the servers' TLS certificates. */
  readonly ca: string;
  /** IPv4 block of the fabric. */
  readonly fabric4: string;
  /** Base64 of the own certificate as it was signed. */
  readonly certificate: string;
}

/** A membership, read and verified. */
export interface OpenMembership extends Membership {
  readonly pinned: Root;
  readonly own: SignedCertificate;
  readonly fabric: Fabric;
  readonly identity: SigningKey;
  /** NATS credentials: the text of `user.creds`. */
  readonly credentials: string;
}

/** What is new at a join. */
export interface MembershipFiles {
  readonly membership: Membership;
  readonly identity: SigningKey;
  readonly credentials: string;
}

const MEMBERSHIP = 'membership.json';
const IDENTITY = 'identity.key';
export const CREDENTIALS = 'user.creds';

const SCHEMA = v.object({
  format: v.literal(1),
  root: verifyingKey(),
  brokerAccount: account(),
  urls: v.pipe(v.array(text(256)), v.minLength(1)),
  ca: text(65_536),
  fabric4: text(32),
  certificate: text(65_536),
});

/** Writes a membership; `membership.json` comes last, so that a directory that has one is whole. */
export async function saveMembership(secrets: string, files: MembershipFiles): Promise<void> {
  await mkdir(secrets, { recursive: true, mode: 0o700 });
  await replaceFile(join(secrets, IDENTITY), files.identity.reveal(), 0o600);
  await replaceFile(join(secrets, CREDENTIALS), files.credentials, 0o600);
  const body = JSON.stringify({ format: 1, ...files.membership }, undefined, 2);
  await replaceFile(join(secrets, MEMBERSHIP), `${body}\n`, 0o644);
}

/**
 * Reads a membership and verifies it against its own root.
 * @throws {Error} with what is missing or wrong, and what to do
 */
export async function loadMembership(secrets: string): Promise<OpenMembership> {
  const path = join(secrets, MEMBERSHIP);
  const body = await readIfThere(path);
  if (body === undefined) {
    throw new Error(
      `Cannot open the membership: "${path}" does not exist. Join first: clusterctl join --token …`,
    );
  }
  try {
    const membership = v.parse(SCHEMA, JSON.parse(body.toString('utf8')));
    const pinned = pinRoot(membership.root);
    const own = openCertificate(pinned, Buffer.from(membership.certificate, 'base64'));
    const identity = SigningKey.parse(await readText(join(secrets, IDENTITY)));
    if (identity.publicKey !== own.identity) {
      throw new Error(`${IDENTITY} is not the key that the certificate names`);
    }
    const credentials = await readText(join(secrets, CREDENTIALS));
    // Read here as well, where what is wrong with them is said together with the directory.
    parseCreds(credentials);
    return {
      ...membership,
      pinned,
      own,
      fabric: fabricOf(pinned.clusterset, membership.fabric4),
      identity,
      credentials,
    };
  } catch (error) {
    const reason = messageOf(error);
    throw new Error(
      `Cannot open the membership in "${secrets}": ${reason}. Restore the directory, or leave and join again`,
      { cause: error },
    );
  }
}

async function readText(path: string): Promise<string> {
  const bytes = await readIfThere(path);
  if (bytes === undefined) throw new Error(`"${path}" does not exist`);
  return bytes.toString('utf8');
}
