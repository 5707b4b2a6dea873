// Who may say what: the claims of every NATS account and user of a broker.
// This module is pure.

import { MAX_GATEWAYS } from '#lib/constants';
import { OPEN_LIMITS, UNLIMITED } from '#lib/nats';
import type { AccountClaims, Export, Import, NkeyPublic, UserClaims } from '#lib/nats';
import { DIRECT_GET, EVENT, HEARTBEAT, HOT, JOIN, LOCAL, PUT, UPDATE, memberSubjects } from './subjects.ts';

/** Bytes of one message of a member: a record of 64 KiB, its subject and headers. */
const MEMBER_PAYLOAD = 70_000;
/** Connections of one member: eight gateways and two exporters, twice over while they are replaced. */
const MEMBER_CONNECTIONS = 2 * (MAX_GATEWAYS + 2);
/** Subscriptions of one connection of a member. */
const MEMBER_SUBSCRIPTIONS = 32;
/** Connections of all who join at a time: a token that got about must not use up the server. */
const JOIN_CONNECTIONS = 128;
/** A joiner listens to its inbox. */
const JOIN_SUBSCRIPTIONS = 4;

const CLOSED = { ...OPEN_LIMITS, exports: 0, imports: 0 };

function account(rest: Pick<AccountClaims, 'limits'> & Partial<AccountClaims>): AccountClaims {
  return { type: 'account', version: 2, imports: [], exports: [], ...rest };
}

/** The server's own account: its events, and the resolver's requests. */
export function systemAccount(): AccountClaims {
  return account({ limits: OPEN_LIMITS });
}

/**
 * The account that owns the stream. NATS does not check a publisher's permissions against the reply subject, so members
 * never live here: what they reach of it is these exports, and the third token of a subject has to be their own account.
 */
export function brokerAccount(): AccountClaims {
  const exports: readonly Export[] = [
    { name: 'put', type: 'service', subject: `${PUT}.*.>`, account_token_position: 3 },
    { name: 'get', type: 'service', subject: DIRECT_GET, response_type: 'Stream' },
    { name: 'heartbeat', type: 'service', subject: `${HEARTBEAT}.*`, account_token_position: 3 },
    { name: 'hot', type: 'service', subject: `${HOT}.*`, account_token_position: 3 },
    { name: 'join', type: 'service', subject: `${JOIN}.*.*`, account_token_position: 3 },
    { name: 'updates', type: 'stream', subject: `${UPDATE}.>` },
    { name: 'events', type: 'stream', subject: `${EVENT}.>` },
  ];
  const storage = {
    mem_storage: UNLIMITED,
    disk_storage: UNLIMITED,
    streams: UNLIMITED,
    consumer: UNLIMITED,
  };
  return account({ limits: { ...OPEN_LIMITS, ...storage }, exports });
}

/** The account of those who hold a token and are not members yet. */
export function joinAccount(self: NkeyPublic, broker: NkeyPublic): AccountClaims {
  const imports: readonly Import[] = [service('join', broker, `${JOIN}.${self}.*`, `${LOCAL.join}.*`)];
  const limits = {
    ...CLOSED,
    subs: JOIN_SUBSCRIPTIONS,
    conn: JOIN_CONNECTIONS,
    payload: MEMBER_PAYLOAD,
    imports: imports.length,
  };
  return account({ limits, imports });
}

/** One member's account. */
export function memberAccount(self: NkeyPublic, broker: NkeyPublic): AccountClaims {
  const imports: readonly Import[] = [
    service('put', broker, `${PUT}.${self}.>`, `${LOCAL.put}.>`),
    service('get', broker, DIRECT_GET, LOCAL.get),
    service('heartbeat', broker, `${HEARTBEAT}.${self}`, LOCAL.heartbeat),
    service('hot', broker, `${HOT}.${self}`, LOCAL.hot),
    { name: 'updates', type: 'stream', account: broker, subject: `${UPDATE}.>` },
    { name: 'events', type: 'stream', account: broker, subject: `${EVENT}.>` },
  ];
  const limits = {
    ...CLOSED,
    subs: MEMBER_SUBSCRIPTIONS,
    conn: MEMBER_CONNECTIONS,
    payload: MEMBER_PAYLOAD,
    imports: imports.length,
  };
  return account({ limits, imports });
}

function service(name: string, from: NkeyPublic, subject: string, local: string): Import {
  return { name, type: 'service', account: from, subject, local_subject: local };
}

function user(publish: readonly string[], subscribe: readonly string[]): UserClaims {
  return {
    type: 'user',
    version: 2,
    pub: { allow: publish },
    sub: { allow: subscribe },
    subs: UNLIMITED,
    data: UNLIMITED,
    payload: UNLIMITED,
    allowed_connection_types: ['STANDARD', 'WEBSOCKET'],
  };
}

/** A member's gateways. Inboxes are local to the account, so `_INBOX.>` reaches nobody else's. */
export function memberUser(slots: number): UserClaims {
  return user(memberSubjects(slots), ['_INBOX.>', `${UPDATE}.>`, `${EVENT}.>`]);
}

/** Whoever holds the token with this id; an inbox of its own keeps it from reading another joiner's answer. */
export function joinUser(tokenId: string): UserClaims {
  return user([`${LOCAL.join}.${tokenId}`], [`_INBOX_${tokenId}.>`]);
}

/** The membership agent, in the account that it is given a JWT for. */
export function agentUser(): UserClaims {
  return user(['>'], ['>']);
}
