// Joins a clusterset: makes the cluster's identity on the spot, asks with a token, and keeps the answer.

import type { NatsConnection } from '@nats-io/nats-core';
import type { Cidr } from '#lib/ip';
import { decodeJwt, formatCreds, Nkey, parseNkeyPublic } from '#lib/nats';
import type { ClusterId } from '#lib/names';
import { saveMembership } from '../member/membership.ts';
import { connectUser } from '../agent/connection.ts';
import { LOCAL } from '../server/subjects.ts';
import { clustersetId, pinRoot } from '../trust/authority.ts';
import { openCertificate } from '../trust/certificate.ts';
import type { SignedCertificate } from '../trust/certificate.ts';
import { checkToken, parseToken } from '../trust/token.ts';
import type { JoinToken } from '../trust/token.ts';
import { JoinError, unreachable } from './errors.ts';
import { decodeAnswer, encodeRequest } from './message.ts';
import type { JoinGrant, JoinRefusal } from './message.ts';
import { reachable } from './reach.ts';
import { beginJoin, finishJoin, isPending } from './pending.ts';
import type { PendingJoin } from './pending.ts';

export interface JoinOptions {
  /** The text of `clusterctl broker token`. */
  readonly token: string;
  readonly secretsDir: string;
  /** What the caller takes itself for; another cluster's token is refused before anything is sent. */
  readonly cluster?: string;
  /** Networks that this host stands in. */
  readonly hostNetworks: readonly Cidr[];
  /** Milliseconds for the broker to answer. @default 10000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly now?: () => Date;
}

export interface Joined {
  readonly clusterset: string;
  readonly cluster: ClusterId;
  readonly index: number;
  readonly podCidrs: readonly Cidr[];
  readonly serviceCidrs: readonly Cidr[];
  /** It was this clusterset's member before; the membership was renewed. */
  readonly again: boolean;
}

const TIMEOUT_MS = 10_000;
/** One request; asking again is harmless, since the same join gives the same membership. */
const REQUEST_MS = 2_000;

/**
 * Joins. Interrupted at any point, the same call finishes the join later; a refusal leaves the directory as it was.
 * @throws {TokenError} when the token cannot be used at all
 * @throws {JoinError} when the broker refuses or cannot be reached
 */
export async function joinClusterset(options: JoinOptions): Promise<Joined> {
  const { secretsDir, now = () => new Date() } = options;
  const token = parseToken(options.token);
  // A join that was cut off may have been granted: only the broker knows, so an old token is still worth asking with.
  checkToken(token, (await isPending(secretsDir, token)) ? new Date(0) : now(), options.cluster);
  const pending = await beginJoin(secretsDir, token);
  const answer = await ask(token, pending, options);
  if ('fault' in answer) {
    await pending.forget();
    throw new JoinError(answer.fault, `Cannot join "${token.cluster}": ${answer.reason}. ${answer.next}`);
  }
  const own = verifyGrant(token, pending, answer);
  await saveMembership(secretsDir, {
    membership: {
      root: token.root,
      brokerAccount: token.brokerAccount,
      urls: token.urls,
      ca: token.ca,
      fabric4: token.fabric4,
      certificate: Buffer.from(answer.certificate).toString('base64'),
    },
    identity: pending.identity,
    credentials: formatCreds(answer.jwt, pending.user),
  });
  await finishJoin(secretsDir);
  const { cluster, index, podCidrs, serviceCidrs } = own;
  const clusterset = clustersetId(token.root);
  return { clusterset, cluster, index, podCidrs, serviceCidrs, again: pending.certificate !== undefined };
}

async function ask(
  token: JoinToken,
  pending: PendingJoin,
  options: JoinOptions,
): Promise<JoinGrant | JoinRefusal> {
  const { timeoutMs = TIMEOUT_MS, signal } = options;
  const deadline = performance.now() + timeoutMs;
  const { identity, user, certificate } = pending;
  const request = encodeRequest(
    {
      clusterset: clustersetId(token.root),
      token: token.id,
      cluster: token.cluster,
      identity: identity.publicKey,
      user: user.publicKey,
      hostNetworks: options.hostNetworks,
      ...(certificate === undefined ? {} : { certificate }),
    },
    identity,
    token.secret,
  );
  const connection = await dial(token, timeoutMs, signal).catch(async (error: unknown) => {
    // Nothing was sent, so nothing can have been granted.
    if (!pending.resumed) await pending.forget();
    throw error;
  });
  try {
    return await exchange(connection, `${LOCAL.join}.${token.id}`, request, { deadline, signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw unreachable(`join "${token.cluster}"`, token.urls, { timeoutMs, cause });
  } finally {
    await connection.close();
  }
}

interface Patience {
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** Asks until there is an answer: the agent may be restarting. */
async function exchange(
  connection: NatsConnection,
  subject: string,
  request: Uint8Array,
  { deadline, signal }: Patience,
): Promise<JoinGrant | JoinRefusal> {
  for (;;) {
    signal?.throwIfAborted();
    const left = deadline - performance.now();
    try {
      const reply = await connection.request(subject, request, {
        timeout: Math.max(1, Math.min(left, REQUEST_MS)),
      });
      return decodeAnswer(reply.data);
    } catch (error) {
      if (error instanceof SyntaxError || left < REQUEST_MS || connection.isClosed()) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function dial(
  token: JoinToken,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<NatsConnection> {
  const user = Nkey.parse(token.seed);
  const { urls, ca, jwt, id, cluster } = token;
  try {
    const servers = await reachable(urls, { timeoutMs, signal });
    const timeout = Math.ceil(timeoutMs / servers.length);
    const inboxPrefix = `_INBOX_${id}`;
    const name = `join ${cluster}`;
    return await connectUser({ servers, ca, name, jwt, user, inboxPrefix, forever: false, timeout });
  } catch (cause) {
    signal?.throwIfAborted();
    throw unreachable(`join "${cluster}"`, urls, { timeoutMs, cause });
  }
}

/** What the broker granted has to be what was asked for, and the root has to stand behind it. */
function verifyGrant(token: JoinToken, pending: PendingJoin, grant: JoinGrant): SignedCertificate {
  try {
    const own = openCertificate(pinRoot(token.root), grant.certificate);
    if (isAsked(token, pending, own) && isUser(pending, own, grant.jwt)) return own;
  } catch (cause) {
    throw notGranted(token, cause instanceof Error ? ` (${cause.message})` : '', { cause });
  }
  throw notGranted(token, '');
}

function isAsked(token: JoinToken, { identity }: PendingJoin, own: SignedCertificate): boolean {
  const text = (cidrs: readonly Cidr[]): string => cidrs.join(' ');
  return (
    own.cluster === token.cluster &&
    own.identity === identity.publicKey &&
    text(own.podCidrs) === text(token.podCidrs) &&
    text(own.serviceCidrs) === text(token.serviceCidrs)
  );
}

function isUser({ user }: PendingJoin, own: SignedCertificate, jwt: string): boolean {
  const { sub, iss } = decodeJwt(jwt, 'account');
  return sub === user.publicKey && iss === parseNkeyPublic(own.account, 'account');
}

function notGranted(token: JoinToken, detail: string, options?: ErrorOptions): JoinError {
  const reason = `the broker granted something else than the token says${detail}. Ask who runs it`;
  return new JoinError('malformed', `Cannot join "${token.cluster}": ${reason}`, options);
}
