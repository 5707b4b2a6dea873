// The hot path: signed records that must not wait for the stream, passed on to every member as they came.

import type { Account } from '../trust/header.ts';
import { openRecord } from '../trust/record.ts';
import { refuse } from '../trust/refusal.ts';
import { EVENT } from '../server/subjects.ts';

/** Slots as members name them; anything else in a subject could be a wildcard or another's name. */
const SLOT = /^[a-z]+(\.[0-9]+)?$/;

/**
 * Where to publish a member's record. Readers verify it as if it had come through the stream.
 * @throws {Refused} `malformed`, or `wrong-account`
 */
export function hotSubject(account: Account, bytes: Uint8Array): string {
  const { header } = openRecord(bytes);
  if (header.account !== account) refuse('wrong-account', 'it names another account');
  if (!SLOT.test(header.slot)) refuse('malformed', 'it names no slot');
  return `${EVENT}.${account}.${header.slot}`;
}
