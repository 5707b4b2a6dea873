// What NATS reads: keys, JWTs and server configuration, all made without a NATS library and without a running server.

export { decodeBase32, encodeBase32 } from './base32.ts';
export { OPEN_LIMITS, UNLIMITED } from './claims.ts';
export type {
  AccountClaims,
  AccountLimits,
  DeleteClaims,
  Export,
  Import,
  NatsClaims,
  OperatorClaims,
  UserClaims,
} from './claims.ts';
export { decodeJwt, encodeJwt, formatCreds, parseCreds } from './jwt.ts';
export type { DecodedJwt, JwtOptions } from './jwt.ts';
export { isNkeyPublic, Nkey, parseNkeyPublic, verifyNkey } from './nkey.ts';
export type { NkeyPublic, NkeyRole } from './nkey.ts';
export { renderServerConfig } from './server-config.ts';
export type { ServerConfig } from './server-config.ts';
