// Record envelopes: one signed statement of one cluster about one of its slots.

import type { ClusterId } from '#lib/names';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import * as v from 'valibot';
import type { Account } from './header.ts';
import { account, clusterId, integer, readHeader, text } from './header.ts';
import type { SigningKey } from './keys.ts';
import { keyId } from './keys.ts';
import { refuse } from './refusal.ts';
import type { Statement } from './statement.ts';
import { isOfDomain, signStatement, splitStatement, statementDigest } from './statement.ts';

/** What a record is about. */
export interface Slot {
  readonly kind: string;
  /** `gw.0`, `m`, `s.12`: the tail of its subject. Its first token says the kind. */
  readonly slot: string;
}

/** Orders what one cluster says of one slot. A lost disk starts a higher epoch. */
export interface Counter {
  /** Milliseconds of the clock when the counter was begun, or higher. */
  readonly epoch: number;
  readonly version: number;
}

/** A record's header. */
export interface RecordHeader extends Slot, Counter {
  readonly clusterset: string;
  readonly cluster: ClusterId;
  readonly account: Account;
  /** Major version of the payload's schema. */
  readonly schema: number;
  /** ISO 8601; for people and alarms, never decides whether a record is accepted. */
  readonly issuedAt: string;
  /** The slot is empty from here on. */
  readonly tombstone: boolean;
  /** Absent: plain. */
  readonly encoding?: 'deflate';
  /** Bytes of the payload after inflating. */
  readonly size: number;
  readonly keyId: string;
}

/** A record taken apart: not believed until its signature is verified with its cluster's identity key. */
export interface OpenedRecord {
  readonly header: RecordHeader;
  readonly statement: Statement;
  /** SHA-256 of what is signed, hexadecimal. */
  readonly digest: string;
}

/** What the writer says; the rest of the header follows. */
export interface RecordDraft extends Slot, Counter {
  readonly clusterset: string;
  readonly cluster: ClusterId;
  readonly account: Account;
  readonly schema: number;
  /** Absent: a tombstone. */
  readonly content?: unknown;
}

/** Payloads from this size on are deflated, in bytes: below it nothing is won. */
const DEFLATE_FROM = 512;
/** Longest payload of any kind after inflating, in bytes. Kinds have lower limits of their own. */
export const MAX_PAYLOAD = 262_144;

const SCHEMA = v.object({
  clusterset: text(64),
  cluster: clusterId(),
  account: account(),
  kind: text(32),
  slot: text(32),
  schema: integer(1, 65_535),
  epoch: integer(0, Number.MAX_SAFE_INTEGER),
  version: integer(1, Number.MAX_SAFE_INTEGER),
  issuedAt: text(40),
  tombstone: v.optional(v.boolean(), false),
  encoding: v.exactOptional(v.literal('deflate')),
  size: integer(0, Number.MAX_SAFE_INTEGER),
  keyId: text(16),
});

/** Signs a record with the cluster's identity key. */
export function signRecord(draft: RecordDraft, identity: SigningKey, issuedAt: Date): Uint8Array {
  const { content, ...rest } = draft;
  const plain = content === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(content));
  const deflated = plain.length >= DEFLATE_FROM;
  const header = {
    ...rest,
    issuedAt: issuedAt.toISOString(),
    ...(content === undefined ? { tombstone: true } : {}),
    ...(deflated ? { encoding: 'deflate' } : {}),
    size: plain.length,
    keyId: keyId(identity.publicKey),
  };
  return signStatement('isthmus-record-v1', header, deflated ? deflateRawSync(plain) : plain, identity);
}

/** What the bytes say that they are; the signature covers it. */
export function isRecord(bytes: Uint8Array): boolean {
  return isOfDomain('isthmus-record-v1', bytes);
}

/** @throws {Refused} `oversized` or `malformed` */
export function openRecord(bytes: Uint8Array): OpenedRecord {
  const statement = splitStatement('isthmus-record-v1', bytes);
  return { header: readHeader(SCHEMA, statement), statement, digest: statementDigest(statement) };
}

/**
 * The payload of a verified record, parsed. `limit` bounds it before anything is inflated.
 * @throws {Refused} `oversized` or `malformed`
 */
export function recordContent(record: OpenedRecord, limit: number): unknown {
  const { size, encoding } = record.header;
  const bound = Math.min(limit, MAX_PAYLOAD);
  if (size > bound) refuse('oversized', `its payload of ${size} bytes is longer than ${bound}`);
  const { payload } = record.statement;
  const plain = encoding === undefined ? Buffer.from(payload) : inflate(payload, size);
  if (plain.length !== size) refuse('malformed', `its payload is ${plain.length} bytes, not ${size}`);
  try {
    return JSON.parse(plain.toString('utf8'));
  } catch {
    return refuse('malformed', 'its payload is not JSON');
  }
}

/** Inflates to no more than the declared size: a payload that would grow further is refused while it grows. */
function inflate(payload: Uint8Array, size: number): Buffer {
  try {
    return inflateRawSync(payload, { maxOutputLength: Math.max(size, 1) });
  } catch {
    return refuse('malformed', 'its payload does not inflate to its declared size');
  }
}

/** Negative, zero or positive, as for sorting. */
export function compareCounters(a: Counter, b: Counter): number {
  return a.epoch - b.epoch || a.version - b.version;
}
