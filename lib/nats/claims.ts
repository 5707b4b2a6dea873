// What NATS JWTs say: the claims of operators, accounts and users, with nothing left to the server's defaults.
// This module is pure.

import type { NkeyPublic } from './nkey.ts';

/** No limit, in every NATS limit field. */
export const UNLIMITED = -1;

export interface OperatorClaims {
  readonly type: 'operator';
  readonly version: 2;
  /** Keys that may sign accounts in the operator's place. */
  readonly signing_keys: readonly NkeyPublic[];
  readonly system_account: NkeyPublic;
}

/** What an account offers to others. */
export interface Export {
  readonly name: string;
  readonly type: 'service' | 'stream';
  readonly subject: string;
  /** Number of the subject's token, from 1, that has to be the importing account's public key. */
  readonly account_token_position?: number;
  /** `Stream`: one request, many answers. */
  readonly response_type?: 'Singleton' | 'Stream';
}

/** What an account takes from another. */
export interface Import {
  readonly name: string;
  readonly type: 'service' | 'stream';
  readonly account: NkeyPublic;
  /** In the exporting account. */
  readonly subject: string;
  /** In the own account; absent: the same. */
  readonly local_subject?: string;
}

/** NATS' names, flat as in the JWT. Storage limits of 0 mean: no JetStream. */
export interface AccountLimits {
  /** Subscriptions, each connection. */
  readonly subs: number;
  readonly conn: number;
  readonly leaf: number;
  readonly imports: number;
  readonly exports: number;
  readonly data: number;
  /** Bytes of one message. */
  readonly payload: number;
  readonly wildcards: boolean;
  readonly disallow_bearer: boolean;
  readonly mem_storage: number;
  readonly disk_storage: number;
  readonly streams: number;
  readonly consumer: number;
}

export interface AccountClaims {
  readonly type: 'account';
  readonly version: 2;
  readonly limits: AccountLimits;
  readonly imports: readonly Import[];
  readonly exports: readonly Export[];
  /** User public key, or `*` → UNIX seconds: JWTs issued up to then are void. */
  readonly revocations?: Readonly<Record<string, number>>;
}

export interface UserClaims {
  readonly type: 'user';
  readonly version: 2;
  readonly pub: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
  readonly sub: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
  readonly subs: number;
  readonly data: number;
  readonly payload: number;
  readonly allowed_connection_types?: readonly ('STANDARD' | 'WEBSOCKET')[];
}

/** Body of `$SYS.REQ.CLAIMS.DELETE`. */
export interface DeleteClaims {
  readonly type: 'generic';
  readonly version: 2;
  readonly accounts: readonly NkeyPublic[];
}

export type NatsClaims = OperatorClaims | AccountClaims | UserClaims | DeleteClaims;

/** An account that may do everything but own JetStream data. */
export const OPEN_LIMITS: AccountLimits = {
  subs: UNLIMITED,
  conn: UNLIMITED,
  leaf: 0,
  imports: UNLIMITED,
  exports: UNLIMITED,
  data: UNLIMITED,
  payload: UNLIMITED,
  wildcards: true,
  disallow_bearer: true,
  mem_storage: 0,
  disk_storage: 0,
  streams: 0,
  consumer: 0,
};
