// The one form in which anything is signed: domain, header, payload, signature.
//
//   domain "\0" | u32 header length | header, JSON | u32 payload length | payload | 64 bytes signature
//   └──────────────────────────── what is signed ─────────────────────────────┘
//
// The signature covers every byte before it, as received: nothing is ever serialised again in order to be verified.
// The domain keeps a statement of one sort from being taken for one of another.

import { createHash } from 'node:crypto';
import type { SigningKey, VerifyingKey } from './keys.ts';
import { isSignedBy, SIGNATURE_BYTES } from './keys.ts';
import { refuse } from './refusal.ts';

/** Sorts of statement. */
export type Domain =
  | 'isthmus-delegation-v1'
  | 'isthmus-certificate-v1'
  | 'isthmus-revocation-v1'
  | 'isthmus-record-v1'
  | 'isthmus-beacon-v1'
  | 'isthmus-join-v1';

/** Longest statement, in bytes: the stream's message limit. */
export const MAX_STATEMENT = 65_536;
/** Longest header, in bytes. A certificate of 64 CIDRs with its delegation takes 4 KiB. */
const MAX_HEADER = 16_384;

/** A statement taken apart, not yet verified: only {@link verifyStatement} makes it worth believing. */
export interface Statement {
  readonly bytes: Uint8Array;
  /** What the signature covers. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** Parsed JSON of unknown shape. */
  readonly header: unknown;
  readonly payload: Uint8Array;
}

/** Makes a statement. The bytes that come out are the only form in which it is kept and passed on. */
export function signStatement(
  domain: Domain,
  header: object,
  payload: Uint8Array,
  key: SigningKey,
): Uint8Array {
  const head = Buffer.from(JSON.stringify(header));
  const signed = Buffer.concat([prefixOf(domain), lengthOf(head), head, lengthOf(payload), payload]);
  const bytes = Buffer.concat([signed, key.sign(signed)]);
  if (head.length > MAX_HEADER || bytes.length > MAX_STATEMENT) {
    throw new RangeError(`Cannot sign the statement: ${bytes.length} bytes are more than ${MAX_STATEMENT}`);
  }
  return bytes;
}

/** Which sort of statement the bytes say that they are. */
export function isOfDomain(domain: Domain, bytes: Uint8Array): boolean {
  const prefix = prefixOf(domain);
  return prefix.equals(bytes.subarray(0, prefix.length));
}

/** @throws {Refused} `oversized` or `malformed` */
export function splitStatement(domain: Domain, bytes: Uint8Array): Statement {
  if (bytes.length > MAX_STATEMENT)
    refuse('oversized', `${bytes.length} bytes are more than ${MAX_STATEMENT}`);
  if (!isOfDomain(domain, bytes)) refuse('malformed', `it does not begin with ${domain}`);
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [head, afterHead] = block(all, prefixOf(domain).length);
  const [payload, end] = block(all, afterHead);
  if (all.length !== end + SIGNATURE_BYTES) refuse('malformed', 'its lengths do not add up');
  if (head.length > MAX_HEADER) refuse('oversized', `its header is longer than ${MAX_HEADER} bytes`);
  return { bytes, signed: all.subarray(0, end), signature: all.subarray(end), header: json(head), payload };
}

/** @throws {Refused} `bad-signature` */
export function verifyStatement(statement: Statement, key: VerifyingKey): void {
  if (!isSignedBy(key, statement.signed, statement.signature)) {
    refuse('bad-signature', 'the signature does not fit the bytes');
  }
}

/** SHA-256 of what is signed, as hexadecimal: two statements are the same exactly when these are. */
export function statementDigest(statement: Statement): string {
  return createHash('sha256').update(statement.signed).digest('hex');
}

function prefixOf(domain: Domain): Buffer {
  return Buffer.from(`${domain}\0`);
}

function lengthOf(block: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(block.length);
  return length;
}

/** The length-prefixed block at `start`, and where it ends. */
function block(all: Buffer, start: number): [Buffer, number] {
  if (start + 4 > all.length) refuse('malformed', 'it ends inside a length');
  const from = start + 4;
  const end = from + all.readUInt32BE(start);
  if (end > all.length) refuse('malformed', 'it ends inside a block');
  return [all.subarray(from, end), end];
}

function json(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return refuse('malformed', 'its header is not JSON');
  }
}
