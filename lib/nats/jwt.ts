// NATS JWTs: signed claims in the dialect `ed25519-nkey`, written without the reference library (44 ms a signature there).

import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { encodeBase32 } from './base32.ts';
import type { NatsClaims } from './claims.ts';
import { Nkey, parseNkeyPublic, verifyNkey } from './nkey.ts';
import type { NkeyPublic, NkeyRole } from './nkey.ts';

export interface JwtOptions<Claims extends NatsClaims> {
  readonly name: string;
  /** Whom the claims are about. */
  readonly subject: NkeyPublic;
  /** Who says so: operator (or its signing key) for operators and accounts, account for users. */
  readonly signer: Nkey;
  readonly claims: Claims;
  /** UNIX seconds. */
  readonly issuedAt: number;
  /** UNIX seconds; absent: never. */
  readonly expiresAt?: number;
}

const HEADER = encodePart({ typ: 'JWT', alg: 'ed25519-nkey' });

function encodePart(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** One JWT; the same options give the same text. */
export function encodeJwt<Claims extends NatsClaims>(options: JwtOptions<Claims>): string {
  const { name, subject, signer, claims, issuedAt, expiresAt } = options;
  const body = {
    iat: issuedAt,
    iss: signer.publicKey,
    name,
    sub: subject,
    ...(expiresAt === undefined ? {} : { exp: expiresAt }),
    nats: claims,
  };
  const jti = encodeBase32(createHash('sha512-256').update(JSON.stringify(body)).digest());
  const signed = `${HEADER}.${encodePart({ jti, ...body })}`;
  return `${signed}.${signer.sign(Buffer.from(signed)).toString('base64url')}`;
}

const CLAIMS = v.object({
  iss: v.string(),
  sub: v.string(),
  iat: v.number(),
  name: v.optional(v.string(), ''),
  exp: v.optional(v.number()),
  nats: v.record(v.string(), v.unknown()),
});

/** Claims whose signature was good; what they say is still for the reader to judge. */
export type DecodedJwt = v.InferOutput<typeof CLAIMS>;

/** Checks the signature against the issuer that the JWT itself names. @throws {SyntaxError} */
export function decodeJwt(text: string, issuerRole: NkeyRole): DecodedJwt {
  const [header = '', body = '', signature = '', ...rest] = text.split('.');
  if (rest.length > 0 || signature === '') {
    throw new SyntaxError('Cannot read JWT: it does not have three parts');
  }
  readPart(v.object({ alg: v.literal('ed25519-nkey') }), header);
  const claims = readPart(CLAIMS, body);
  const issuer = parseNkeyPublic(claims.iss, issuerRole);
  if (!verifyNkey(issuer, Buffer.from(`${header}.${body}`), Buffer.from(signature, 'base64url'))) {
    throw new SyntaxError('Cannot read JWT: its signature is bad');
  }
  return claims;
}

function readPart<Schema extends v.GenericSchema>(schema: Schema, part: string): v.InferOutput<Schema> {
  const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  throw new SyntaxError(`Cannot read JWT: ${result.issues[0].message}`);
}

/** Text of a credentials file: what NATS clients and tools read. */
export function formatCreds(jwt: string, user: Nkey): string {
  return `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${user.reveal()}
------END USER NKEY SEED------
`;
}

/** What a credentials file holds. @throws {SyntaxError} without quoting the file, which is secret */
export function parseCreds(text: string): { readonly jwt: string; readonly user: Nkey } {
  const [jwt, seed] = [...text.matchAll(/-----BEGIN[^\n]*\n\s*(\S+)\s*\n/g)].map(([, part]) => part);
  if (jwt !== undefined && seed !== undefined) return { jwt, user: Nkey.parse(seed) };
  throw new SyntaxError('Cannot read the credentials: there is no JWT with a seed in them');
}
