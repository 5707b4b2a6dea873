// What joiner and membership agent say to each other, once each way.
//
//   request:  statement signed by the identity key | 32 bytes HMAC-SHA256 with the token's secret
//   answer:   JSON: the certificate with NATS credentials, or the reason and the next step
//
// The signature proves possession of the identity key; the HMAC ties that key to the token, so that nobody on the way
// can put another key in. The answer needs neither: the certificate is verified up to the root that the token pins.

import { createHmac, timingSafeEqual } from 'node:crypto';
import * as v from 'valibot';
import type { Cidr } from '#lib/ip';
import type { ClusterId } from '#lib/names';
import { isNkeyPublic } from '#lib/nats';
import type { NkeyPublic } from '#lib/nats';
import { cidrs, clusterId, readHeader, text, verifyingKey } from '../trust/header.ts';
import type { SigningKey, VerifyingKey } from '../trust/keys.ts';
import { refuse } from '../trust/refusal.ts';
import { signStatement, splitStatement, verifyStatement } from '../trust/statement.ts';

/** What a cluster asks for. */
export interface JoinRequest {
  readonly clusterset: string;
  readonly token: string;
  readonly cluster: ClusterId;
  readonly identity: VerifyingKey;
  /** Public half of the NATS key that the joiner made for itself. */
  readonly user: NkeyPublic;
  /** Networks that the joining host is on, apart from the cluster's own. */
  readonly hostNetworks: readonly Cidr[];
  /** The certificate that it has had so far; a broker put back from an old copy may have forgotten it. */
  readonly certificate?: Uint8Array;
}

const FAULTS = [
  'unknown-token',
  'altered-token',
  'used-token',
  'expired-token',
  'cluster-taken',
  'cluster-held',
  'identity-ended',
  'overlap-member',
  'overlap-fabric',
  'overlap-host',
  'no-index',
  'malformed',
] as const;

/** Why a join is refused, for whoever decides on it. */
export type JoinFault = (typeof FAULTS)[number];

export interface JoinRefusal {
  readonly fault: JoinFault;
  /** A clause, to stand after `Cannot join "east": `. */
  readonly reason: string;
  /** A sentence: what to do next. */
  readonly next: string;
}

export interface JoinGrant {
  readonly certificate: Uint8Array;
  /** NATS JWT of the joiner's user. */
  readonly jwt: string;
}

const MAC_BYTES = 32;
/** Networks that a host may stand in: one for each VLAN or container network, and all of them fit into a header. */
const MAX_NETWORKS = 256;

const REQUEST = v.object({
  clusterset: text(64),
  token: text(64),
  cluster: clusterId(),
  identity: verifyingKey(),
  user: v.custom<NkeyPublic>(
    (input) => typeof input === 'string' && isNkeyPublic(input, 'user'),
    'is no user key',
  ),
  hostNetworks: cidrs(MAX_NETWORKS),
});

const ANSWER = v.variant('ok', [
  v.object({ ok: v.literal(true), certificate: v.string(), jwt: v.string() }),
  v.object({
    ok: v.literal(false),
    fault: v.picklist(FAULTS),
    reason: v.pipe(v.string(), v.maxLength(1024)),
    next: v.pipe(v.string(), v.maxLength(1024)),
  }),
]);

export function encodeRequest(request: JoinRequest, identity: SigningKey, secret: string): Uint8Array {
  const { certificate, ...header } = request;
  const statement = signStatement('isthmus-join-v1', header, certificate ?? new Uint8Array(), identity);
  return Buffer.concat([statement, macOf(statement, secret)]);
}

/** Who asks, by the name on the request alone: enough to find the token, nothing to believe. */
export interface SealedRequest {
  readonly claimed: JoinRequest;
  /** @throws {Refused} `bad-signature` when the secret is another's, or the identity key did not sign */
  open(secret: string): JoinRequest;
}

/** @throws {Refused} `oversized` or `malformed` */
export function splitRequest(bytes: Uint8Array): SealedRequest {
  const body = bytes.subarray(0, Math.max(bytes.length - MAC_BYTES, 0));
  const statement = splitStatement('isthmus-join-v1', body);
  const header = readHeader(REQUEST, statement);
  const certificate = statement.payload.length === 0 ? {} : { certificate: statement.payload };
  const claimed: JoinRequest = { ...header, ...certificate };
  return {
    claimed,
    open(secret): JoinRequest {
      const mac = macOf(body, secret);
      if (!timingSafeEqual(mac, bytes.subarray(body.length)))
        refuse('bad-signature', 'the secret is another');
      verifyStatement(statement, claimed.identity);
      return claimed;
    },
  };
}

export function encodeAnswer(answer: JoinGrant | JoinRefusal): Uint8Array {
  const body =
    'fault' in answer
      ? { ok: false, ...answer }
      : { ok: true, jwt: answer.jwt, certificate: Buffer.from(answer.certificate).toString('base64') };
  return Buffer.from(JSON.stringify(body));
}

/** @throws {SyntaxError} when it is no answer */
export function decodeAnswer(bytes: Uint8Array): JoinGrant | JoinRefusal {
  const result = v.safeParse(ANSWER, parseJson(bytes));
  if (!result.success)
    throw new SyntaxError('Cannot read the answer of the broker: it is not of a known form');
  if (!result.output.ok) {
    const { fault, reason, next } = result.output;
    return { fault, reason, next };
  }
  return { jwt: result.output.jwt, certificate: Buffer.from(result.output.certificate, 'base64') };
}

function macOf(bytes: Uint8Array, secret: string): Buffer {
  return createHmac('sha256', Buffer.from(secret, 'base64url')).update(bytes).digest();
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
