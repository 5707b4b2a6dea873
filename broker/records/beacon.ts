// The membership agent's sign of life: which stream there is, and how far it has come.

import * as v from 'valibot';
import type { AuthorityKey, Root } from '../trust/authority.ts';
import { signByAuthority } from '../trust/authority.ts';
import { integer, readHeader, text } from '../trust/header.ts';
import { refuse } from '../trust/refusal.ts';
import { splitStatement } from '../trust/statement.ts';

/** Published about once a second on `mc.evt.beacon`, outside the stream. */
export interface Beacon {
  /** Milliseconds of the agent's clock; a beacon that does not come after the last one is not looked at. */
  readonly time: number;
  /** When the stream was created, as the server writes it: another value is another stream. */
  readonly created: string;
  /**
   * Random, and new whenever the agent starts, the stream is created anew or its head goes back. With `sessionHead`
   * a reader tells a restart (head at or past its own cursor: carry on) from an old copy (head before it: read all).
   */
  readonly session: string;
  /** Last sequence of the stream when the session began. */
  readonly sessionHead: number;
  /** Last sequence of the stream. */
  readonly head: number;
  /** Digest over every entry of the directory, as `directoryDigest()` computes it. */
  readonly directory: string;
}

const SEQUENCE = integer(0, Number.MAX_SAFE_INTEGER);

const SCHEMA = v.object({
  clusterset: text(64),
  time: integer(0, Number.MAX_SAFE_INTEGER),
  created: text(64),
  session: text(64),
  sessionHead: SEQUENCE,
  head: SEQUENCE,
  directory: text(64),
  delegation: v.exactOptional(text(2048)),
});

/** About 0.04 ms. */
export function signBeacon(authority: AuthorityKey, beacon: Beacon): Uint8Array {
  return signByAuthority('isthmus-beacon-v1', beacon, new Uint8Array(), authority);
}

/** @throws {Refused} `oversized`, `malformed`, `wrong-clusterset`, `untrusted-signer`, `bad-signature` */
export function openBeacon(root: Root, bytes: Uint8Array): Beacon {
  const statement = splitStatement('isthmus-beacon-v1', bytes);
  const { clusterset, delegation, ...beacon } = readHeader(SCHEMA, statement);
  if (clusterset !== root.clusterset) refuse('wrong-clusterset', `it is for the clusterset ${clusterset}`);
  root.verify(statement, delegation);
  return beacon;
}
