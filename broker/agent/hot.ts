// The hot path: signed records that must not wait for the stream, passed on to every member as they came.

import type { Account } from '../trust/header.ts';
import { openRecord } from '../trust/record.ts';
import { refuse } from '../trust/refusal.ts';
import { EVENT } from '../server/subjects.ts';

/** Slots as members name them; anything else in a subject could be a wildcard or another's name. */
const SLOT = /^[a-z]+(\.[0-9]+)?$/;

/** Bytes: a gateway's record has at most 8 KiB and its header. What is longer goes by the stream alone. */
const MAX_HOT = 16_384;

/**
 * Where to publish a member's record. Readers verify it as if it had come through the stream.
 * @throws {Refused} `oversized`, `malformed`, or `wrong-account`
 */
export function hotSubject(account: Account, bytes: Uint8Array): string {
  if (bytes.length > MAX_HOT) refuse('oversized', `${bytes.length} bytes are more than ${MAX_HOT}`);
  const { header } = openRecord(bytes);
  if (header.account !== account) refuse('wrong-account', 'it names another account');
  if (!SLOT.test(header.slot)) refuse('malformed', 'it names no slot');
  return `${EVENT}.${account}.${header.slot}`;
}
