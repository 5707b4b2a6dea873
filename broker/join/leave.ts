// Leaves a clusterset: tells it in the cluster's own name, then forgets the membership.

import { errors } from '@nats-io/nats-core';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { authenticatorOf } from '../member/credentials.ts';
import { dial } from '../member/link.ts';
import { loadMembership } from '../member/membership.ts';
import type { OpenMembership } from '../member/membership.ts';
import { LOCAL } from '../server/subjects.ts';
import { signDeparture } from '../trust/revocation.ts';
import { JoinError, unreachable } from './errors.ts';
import { reachable } from './reach.ts';
import type { Reach } from './reach.ts';

export interface LeaveOptions {
  readonly secretsDir: string;
  /** Forget the membership also when the broker cannot be told; the others then keep it until somebody revokes it. */
  readonly force?: boolean;
  /** Milliseconds for the broker to answer. @default 10000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly now?: () => Date;
}

export interface Left {
  readonly cluster: string;
  readonly clusterset: string;
  /** The others know. False only with `force`. */
  readonly told: boolean;
}

const TIMEOUT_MS = 10_000;
const REQUEST_MS = 2_000;
/** Between two attempts to be let in: two refusals are an answer. */
const AGAIN_MS = 100;
/** Files of a membership; `membership.json` goes first, so that a directory without it is nobody's. */
const FILES = ['membership.json', 'user.creds', 'identity.key', 'joining.json'];
const ANSWER = v.object({ ok: v.literal(true) });

/**
 * Leaves. One departure, signed by the identity key, ends every record of the cluster at every peer, so none needs a
 * tombstone of its own. The identity key is destroyed with the membership: who joins again is somebody new.
 * @throws {JoinError} `unreachable` when the broker cannot be told and `force` is not set; nothing is forgotten then
 */
export async function leaveClusterset(options: LeaveOptions): Promise<Left> {
  const { secretsDir, force = false, timeoutMs = TIMEOUT_MS, now = () => new Date() } = options;
  const membership = await loadMembership(secretsDir);
  const { own, pinned, identity } = membership;
  const departure = signDeparture(identity, pinned.clusterset, own.bytes, now());
  const told = await tell(membership, departure, { ...options, timeoutMs }).then(
    () => true,
    (error: unknown) => {
      options.signal?.throwIfAborted();
      if (force) return false;
      throw error;
    },
  );
  for (const name of FILES) await rm(join(secretsDir, name), { force: true });
  return { cluster: own.cluster, clusterset: pinned.clusterset, told };
}

interface Telling extends LeaveOptions {
  readonly timeoutMs: number;
}

async function tell(membership: OpenMembership, departure: Uint8Array, options: Telling): Promise<void> {
  const { timeoutMs, signal } = options;
  const action = `leave as "${membership.own.cluster}"`;
  const deadline = performance.now() + timeoutMs;
  let failure: unknown;
  let isSent = false;
  const sent = (): void => {
    isSent = true;
  };
  while (performance.now() < deadline) {
    signal?.throwIfAborted();
    try {
      return await tellOnce(membership, departure, { timeoutMs: REQUEST_MS, signal, sent });
    } catch (error) {
      if (error instanceof JoinError) throw error;
      // Let in before and not any more: the departure arrived, and its answer was lost with the connection.
      if (isSent && error instanceof errors.AuthorizationError) return;
      if (error instanceof errors.AuthorizationError) throw unknownToBroker(action, error);
      failure = error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  const { message } = unreachable(action, membership.urls, { timeoutMs, cause: failure });
  throw new JoinError(
    'unreachable',
    `${message}, or leave with --force and have the broker's operator revoke it`,
    {
      cause: failure,
    },
  );
}

function unknownToBroker(action: string, cause: Error): JoinError {
  const reason = 'the broker does not let this cluster in: it was revoked, or has left already';
  return new JoinError('not-told', `Cannot ${action}: ${reason}. Forget the membership with --force`, {
    cause,
  });
}

async function tellOnce(
  membership: OpenMembership,
  departure: Uint8Array,
  { timeoutMs, signal, sent }: Reach & { readonly sent: () => void },
): Promise<void> {
  const urls = await reachable(membership.urls, { timeoutMs, signal });
  const authenticator = authenticatorOf(membership.credentials);
  const connection = await dial({ urls, ca: membership.ca }, authenticator, () => AGAIN_MS);
  try {
    sent();
    const reply = await connection.request(LOCAL.hot, departure, { timeout: REQUEST_MS });
    if (v.is(ANSWER, reply.json<unknown>())) return;
  } finally {
    await connection.close();
  }
  throw new JoinError(
    'not-told',
    `Cannot leave as "${membership.own.cluster}": the broker refuses the departure. Have its operator revoke the cluster`,
  );
}
