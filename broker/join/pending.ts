// A join under way, on disk before anything is sent: whoever was cut off asks again with the same keys.

import { mkdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { readIfThere, replaceFile } from '#lib/durable';
import { Nkey } from '#lib/nats';
import { loadMembership } from '../member/membership.ts';
import { clustersetId } from '../trust/authority.ts';
import { SigningKey } from '../trust/keys.ts';
import type { JoinToken } from '../trust/token.ts';
import { JoinError } from './errors.ts';

export interface PendingJoin {
  readonly identity: SigningKey;
  /** The cluster's NATS user. */
  readonly user: Nkey;
  /** The certificate of the membership that is renewed. */
  readonly certificate?: Uint8Array;
  /** An earlier run of this join was cut off, and may have been granted. */
  readonly resumed: boolean;
  /** Nothing came of it: the directory is as it was. */
  readonly forget: () => Promise<void>;
}

const FILE = 'joining.json';
const PENDING = v.object({ token: v.string(), identity: v.string(), user: v.string() });

/**
 * Finds or makes the keys to join with: those of a join that was cut off, those of the membership, or new ones.
 * @throws {JoinError} `other-membership` when the directory belongs to another cluster or clusterset
 */
export async function beginJoin(secretsDir: string, token: JoinToken): Promise<PendingJoin> {
  const forget = async (): Promise<void> => {
    await finishJoin(secretsDir);
    // Empty only if nothing else ever lay in it.
    await rmdir(secretsDir).catch(() => undefined);
  };
  const held = await membershipIn(secretsDir, token);
  const found = await readPending(secretsDir);
  if (found?.token === token.id) {
    const keys = { identity: SigningKey.parse(found.identity), user: Nkey.parse(found.user) };
    return { ...keys, ...held.certificate, resumed: true, forget };
  }
  const identity = held.identity ?? SigningKey.generate();
  const user = Nkey.generate('user');
  await mkdir(secretsDir, { recursive: true, mode: 0o700 });
  const pending = { token: token.id, identity: identity.reveal(), user: user.reveal() };
  await replaceFile(join(secretsDir, FILE), `${JSON.stringify(pending)}\n`, 0o600);
  return { identity, user, ...held.certificate, resumed: false, forget };
}

/** Whether an earlier run with this token was cut off. */
export async function isPending(secretsDir: string, token: JoinToken): Promise<boolean> {
  return (await readPending(secretsDir))?.token === token.id;
}

/** The membership says all of it now. */
export async function finishJoin(secretsDir: string): Promise<void> {
  await rm(join(secretsDir, FILE), { force: true });
}

interface Held {
  readonly identity?: SigningKey;
  readonly certificate?: { readonly certificate: Uint8Array };
}

async function membershipIn(secretsDir: string, token: JoinToken): Promise<Held> {
  if ((await readIfThere(join(secretsDir, 'membership.json'))) === undefined) return {};
  const { root, own, identity } = await loadMembership(secretsDir);
  if (root === token.root && own.cluster === token.cluster) {
    return { identity, certificate: { certificate: own.bytes } };
  }
  const what = `it holds the membership of "${own.cluster}" in the clusterset ${clustersetId(root)}`;
  const next = 'Leave that one first (clusterctl leave), or name another directory with --secrets';
  throw new JoinError(
    'other-membership',
    `Cannot join "${token.cluster}" with the secrets directory "${secretsDir}": ${what}. ${next}`,
  );
}

async function readPending(secretsDir: string): Promise<v.InferOutput<typeof PENDING> | undefined> {
  const bytes = await readIfThere(join(secretsDir, FILE));
  try {
    return bytes === undefined ? undefined : v.parse(PENDING, JSON.parse(bytes.toString('utf8')));
  } catch {
    // It is written whole or not at all; what cannot be read is not ours.
    return undefined;
  }
}
