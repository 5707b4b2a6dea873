// Shapes of the fields that signed headers are made of.

import type { Cidr } from '#lib/ip';
import { parseCidr } from '#lib/ip';
import type { ClusterId } from '#lib/names';
import { isClusterId } from '#lib/names';
import * as v from 'valibot';
import type { VerifyingKey } from './keys.ts';
import { isVerifyingKey } from './keys.ts';
import { refuse } from './refusal.ts';
import type { Statement } from './statement.ts';

declare const brand: unique symbol;

/** Public key of a NATS account, as NATS writes it: `A` and 55 characters of base32. */
export type Account = string & { readonly [brand]: 'account' };

const ACCOUNT = /^A[A-Z2-7]{55}$/;
/** CIDRs of one sort in one certificate or record. */
const MAX_CIDRS = 64;

/** Narrows text to an account's public key by its form alone; whose it is, certificates say. */
export function isAccount(text: string): text is Account {
  return ACCOUNT.test(text);
}

/** @throws {SyntaxError} with what an account looks like */
export function parseAccount(text: string): Account {
  if (isAccount(text)) return text;
  throw new SyntaxError(`Cannot use "${text}" as a NATS account: it is not "A" and 55 characters of base32`);
}

/** A schema from text to a branded text. */
type TextSchema<Output> = v.GenericSchema<string, Output>;

/** Text of a bounded length. */
export function text(max: number): TextSchema<string> {
  return v.pipe(v.string(), v.maxLength(max));
}

/** A whole number within bounds, both included. */
export function integer(min: number, max: number): v.GenericSchema<number> {
  return v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
}

export function verifyingKey(): TextSchema<VerifyingKey> {
  return v.custom<VerifyingKey>((input) => typeof input === 'string' && isVerifyingKey(input), 'is no key');
}

export function account(): TextSchema<Account> {
  return v.custom<Account>((input) => typeof input === 'string' && isAccount(input), 'is no account');
}

export function clusterId(): TextSchema<ClusterId> {
  return v.custom<ClusterId>((input) => typeof input === 'string' && isClusterId(input), 'is no cluster id');
}

/** CIDRs in canonical text only, so that what is signed reads one way. */
export function cidrs(max: number = MAX_CIDRS): v.GenericSchema<string[], Cidr[]> {
  return v.pipe(v.array(v.custom<Cidr>(isCanonicalCidr, 'is no canonical CIDR')), v.maxLength(max));
}

/**
 * The header of a statement, of a known shape; fields that the schema does not name are ignored.
 * @throws {Refused} `malformed` with the field
 */
export function readHeader<Output>(
  schema: v.GenericSchema<unknown, Output>,
  statement: Pick<Statement, 'header'>,
): Output {
  const result = v.safeParse(schema, statement.header, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  return refuse('malformed', `header field "${v.getDotPath(issue) ?? ''}": ${issue.message}`);
}

function isCanonicalCidr(input: unknown): boolean {
  try {
    return typeof input === 'string' && parseCidr(input) === input;
  } catch {
    return false;
  }
}
