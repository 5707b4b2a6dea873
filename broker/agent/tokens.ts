// Join tokens as the broker keeps them: one file a token, so that one can be made while no broker runs.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import * as v from 'valibot';
import { parseCidr } from '#lib/ip';
import type { Cidr } from '#lib/ip';
import { isClusterId } from '#lib/names';
import type { ClusterId } from '#lib/names';
import { isVerifyingKey } from '../trust/keys.ts';
import type { VerifyingKey } from '../trust/keys.ts';
import type { Paths } from '../server/data-directory.ts';
import { makeDirectory, readIfThere, writeWhole } from '../server/files.ts';

/** What the broker remembers of a token. */
export interface StoredToken {
  readonly id: string;
  /** Base64url. */
  readonly secret: string;
  readonly cluster: ClusterId;
  readonly podCidrs: readonly Cidr[];
  readonly serviceCidrs: readonly Cidr[];
  /** ISO 8601. */
  readonly expires: string;
  /** Who joined with it. Absent: nobody yet. */
  readonly usedBy?: VerifyingKey;
}

const CIDRS = v.array(v.pipe(v.string(), v.transform(parseCidr)));
const STORED = v.object({
  id: v.string(),
  secret: v.string(),
  cluster: v.custom<ClusterId>((input) => typeof input === 'string' && isClusterId(input)),
  podCidrs: CIDRS,
  serviceCidrs: CIDRS,
  expires: v.pipe(v.string(), v.isoTimestamp()),
  usedBy: v.exactOptional(
    v.custom<VerifyingKey>((input) => typeof input === 'string' && isVerifyingKey(input)),
  ),
});

const ID = /^[0-9a-f]{16}$/;

/** Sixteen hexadecimal digits: names a token, and is part of NATS subjects. */
export function newTokenId(): string {
  return randomBytes(8).toString('hex');
}

export async function saveToken(paths: Paths, token: StoredToken): Promise<void> {
  await makeDirectory(paths.tokens);
  await writeWhole(fileOf(paths, token.id), `${JSON.stringify(token, null, 2)}\n`);
}

/** Undefined: never given out here, or a file that nobody can read. */
export async function findToken(paths: Paths, id: string): Promise<StoredToken | undefined> {
  if (!ID.test(id)) return undefined;
  const text = await readIfThere(fileOf(paths, id));
  try {
    return text === undefined ? undefined : v.parse(STORED, JSON.parse(text));
  } catch {
    return undefined;
  }
}

function fileOf(paths: Paths, id: string): string {
  return join(paths.tokens, `${id}.json`);
}
