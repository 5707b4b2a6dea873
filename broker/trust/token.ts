// Join tokens: all that one cluster needs in order to join once, as one piece of text.
//
//   isthmus-join-1 . <length of the body> . <body: base64url of deflated JSON> . <8 bytes of SHA-256 of the body>
//
// Length and checksum keep no attacker out (the secret inside does that); they tell the operator what is wrong with
// what was pasted: cut off, altered on the way, or not one of ours at all.

import type { Cidr, Cidr4 } from '#lib/ip';
import { isCidr4, parseCidr, prefixOf } from '#lib/ip';
import type { ClusterId } from '#lib/names';
import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import * as v from 'valibot';
import type { Account } from './header.ts';
import { account, cidrs, clusterId, text, verifyingKey } from './header.ts';
import type { VerifyingKey } from './keys.ts';

/** What a token carries. It is a secret until it is used or has expired. */
export interface JoinToken {
  /** `tls://host:port` of the broker's servers. */
  readonly urls: readonly string[];
  /** PEM of the authority that signed the servers' certificates: no trust on first use. */
  readonly ca: string;
  /** The clusterset's root key; its id follows from it. */
  readonly root: VerifyingKey;
  /** The broker's own NATS account, under which the directory stands. */
  readonly brokerAccount: Account;
  /** IPv4 block of the fabric. */
  readonly fabric4: Cidr4;
  /** Names the token at the broker. */
  readonly id: string;
  /** Base64url; proves that the request comes from the token's holder. */
  readonly secret: string;
  /** NATS credentials that may do nothing but ask to join with this id. */
  readonly jwt: string;
  readonly seed: string;
  /** What the holder may join as. */
  readonly cluster: ClusterId;
  readonly podCidrs: readonly Cidr[];
  readonly serviceCidrs: readonly Cidr[];
  /** ISO 8601. */
  readonly expires: string;
}

/** What is wrong with a token, for whoever decides on it. */
export type TokenFault = 'foreign' | 'newer' | 'truncated' | 'altered' | 'expired' | 'other-cluster';

/** A token that cannot be used; the message says what to do. */
export class TokenError extends Error {
  override readonly name = 'TokenError';
  readonly fault: TokenFault;

  constructor(fault: TokenFault, reason: string) {
    super(`Cannot use the join token: ${reason}`);
    this.fault = fault;
  }
}

const PREFIX = 'isthmus-join-';
const FORMAT = '1';
/** Longest token after inflating, in bytes. */
const MAX_TOKEN = 65_536;
const AGAIN = 'Copy it again, whole, from the output of "clusterctl broker token"';
const RENEW = 'Make a new one: clusterctl broker token';

const SCHEMA = v.object({
  urls: v.pipe(v.array(text(256)), v.minLength(1), v.maxLength(16)),
  ca: text(8192),
  root: verifyingKey(),
  brokerAccount: account(),
  fabric4: v.custom<Cidr4>((input) => typeof input === 'string' && isFabric4(input), 'is no IPv4 /10'),
  id: text(64),
  secret: text(128),
  jwt: text(8192),
  seed: text(128),
  cluster: clusterId(),
  podCidrs: cidrs(),
  serviceCidrs: cidrs(),
  expires: v.pipe(text(40), v.isoTimestamp()),
});

/** The token as text of one line, about 2 KB. */
export function encodeToken(token: JoinToken): string {
  const body = deflateRawSync(Buffer.from(JSON.stringify(token)), { level: 9 }).toString('base64url');
  return `${PREFIX}${FORMAT}.${body.length}.${body}.${checksum(body)}`;
}

/**
 * Reads a token. White space is ignored: terminals wrap long lines.
 * @throws {TokenError} `foreign`, `newer`, `truncated` or `altered`
 */
export function parseToken(input: string): JoinToken {
  const parts = input.replaceAll(/\s/g, '').split('.');
  const [prefix = '', length = '', body = '', sum = ''] = parts;
  refuseForeign(prefix, length);
  if (body.length < Number(length) || sum.length < checksum('').length) {
    throw new TokenError('truncated', `its end is missing. ${AGAIN}`);
  }
  const whole = [prefix, body.length, body, checksum(body)].join('.') === parts.join('.');
  const result = v.safeParse(SCHEMA, whole ? inflate(body) : undefined);
  if (!result.success) throw new TokenError('altered', `it was altered on its way here. ${AGAIN}`);
  return result.output;
}

/**
 * Checks what a token that parses is good for. The broker decides again; this spares the operator the journey.
 * @throws {TokenError} `expired` or `other-cluster`
 */
export function checkToken(token: JoinToken, now: Date, cluster?: string): void {
  if (now.getTime() >= Date.parse(token.expires)) {
    throw new TokenError('expired', `it expired at ${token.expires}. ${RENEW}`);
  }
  if (cluster !== undefined && cluster !== token.cluster) {
    const reason = `it is for the cluster "${token.cluster}", and this one is "${cluster}"`;
    throw new TokenError('other-cluster', `${reason}. ${RENEW} --cluster ${cluster}`);
  }
}

function refuseForeign(prefix: string, length: string): void {
  const format = prefix.slice(PREFIX.length);
  if (PREFIX.startsWith(prefix) && prefix !== '') {
    throw new TokenError('truncated', `its end is missing. ${AGAIN}`);
  }
  if (!prefix.startsWith(PREFIX)) {
    throw new TokenError('foreign', `it is not a join token of Isthmus. ${RENEW}`);
  }
  if (/^\d+$/.test(format) && format !== FORMAT) {
    throw new TokenError(
      'newer',
      `it is of format ${format}, and this clusterctl reads ${FORMAT}. Install the broker's version of clusterctl`,
    );
  }
  if (format !== FORMAT || !/^\d{0,6}$/.test(length)) {
    throw new TokenError('altered', `it was altered on its way here. ${AGAIN}`);
  }
}

function checksum(body: string): string {
  return createHash('sha256').update(body).digest().subarray(0, 8).toString('base64url');
}

/** Never throws: what does not inflate is undefined, which no schema takes. */
function inflate(body: string): unknown {
  try {
    return JSON.parse(
      inflateRawSync(Buffer.from(body, 'base64url'), { maxOutputLength: MAX_TOKEN }).toString(),
    );
  } catch {
    return undefined;
  }
}

function isFabric4(input: string): boolean {
  try {
    const cidr = parseCidr(input);
    return isCidr4(cidr) && prefixOf(cidr) === 10 && cidr === input;
  } catch {
    return false;
  }
}
