// The cluster's NATS credentials as they lie on disk now: whoever joins again is given new ones, and the old ones are void.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Auth } from '@nats-io/nats-core';
import type { Log } from '#lib/log';
import { decodeJwt, parseCreds } from '#lib/nats';
import type { OpenMembership } from './membership.ts';
import { CREDENTIALS } from './membership.ts';

/** Answers a server's challenge; the client asks for it at every attempt to connect. */
export type Authenticator = (nonce?: string) => Auth;

/** @throws {SyntaxError} when the text is no credentials */
export function authenticatorOf(credentials: string): Authenticator {
  const { jwt, user } = parseCreds(credentials);
  // Its own signature takes a thousandth of the library's time.
  return (nonce = '') => ({
    jwt,
    nkey: user.publicKey,
    sig: user.sign(Buffer.from(nonce)).toString('base64url'),
  });
}

/**
 * Reads the file at every attempt. Credentials of another membership are of no use to a process that has the first
 * one's identity key: it goes on as it was, and says that it has to be started again.
 */
export function freshAuthenticator(membership: OpenMembership, secrets: string, log: Log): Authenticator {
  let text = membership.credentials;
  let current = authenticatorOf(text);
  return (nonce) => {
    try {
      const found = readFileSync(join(secrets, CREDENTIALS), 'utf8');
      if (found !== text && decodeJwt(parseCreds(found).jwt, 'account').iss === membership.own.account) {
        current = authenticatorOf(found);
      } else if (found !== text) {
        log.warn({ secrets }, 'the secrets directory holds another membership now; start again to use it');
      }
      text = found;
    } catch (error) {
      // Half a join, or a cluster that has left: the file comes back, or the process is ended.
      log.debug({ error }, 'the credentials cannot be read; those from before are used');
    }
    return current(nonce);
  };
}
