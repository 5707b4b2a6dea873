// Lets clusters in and out: the only place where a membership begins or ends.

import { encodeJwt } from '#lib/nats';
import type { NkeyPublic } from '#lib/nats';
import type { Log } from '#lib/log';
import type { ClusterId } from '#lib/names';
import { splitRequest } from '../join/message.ts';
import type { JoinGrant, JoinRefusal } from '../join/message.ts';
import { openCertificate, signCertificate } from '../trust/certificate.ts';
import type { Certificate } from '../trust/certificate.ts';
import { parseAccount } from '../trust/header.ts';
import { Refused } from '../trust/refusal.ts';
import { isRevocation, openRevocation, signRevocation } from '../trust/revocation.ts';
import type { Keys, Paths } from '../server/data-directory.ts';
import { parseAccountKey } from '../server/data-directory.ts';
import { memberUser } from '../server/accounts.ts';
import { memberAccountJwt } from '../server/configure.ts';
import { SLOTS_DEFAULT } from '../server/subjects.ts';
import { judgeJoin } from './admit.ts';
import type { Admission } from './admit.ts';
import type { Roster } from './roster.ts';
import { findToken, saveToken } from './tokens.ts';

/** What a change of membership has to reach. Both are called after the change is on disk. */
export interface Effects {
  /** The server knows the account, and the directory says so. */
  readonly admitted: (cluster: ClusterId, accountJwt: string) => Promise<void>;
  /** The directory says so; then `told` is called, where the member itself waits for it; the server drops the account. */
  readonly ended: (cluster: ClusterId, account: NkeyPublic, told?: () => void) => Promise<void>;
}

export interface AdmissionsOptions {
  readonly paths: Paths;
  readonly keys: Keys;
  readonly roster: Roster;
  readonly effects: Effects;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly now: () => Date;
}

/** One change at a time: two joins must not be given the same index. */
export class Admissions {
  readonly #options: AdmissionsOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: AdmissionsOptions) {
    this.#options = options;
  }

  /** Answers one join request. Running the same join again gives the same membership again. */
  async join(bytes: Uint8Array, tokenId: string): Promise<JoinGrant | JoinRefusal> {
    return this.#inTurn(() => this.#join(bytes, tokenId));
  }

  /**
   * A statement of the directory that a member hands in: its own departure, or what this disk may have forgotten.
   * `told` is called when all know, and before a member that departs is cut off.
   * @throws {Refused}
   */
  async take(bytes: Uint8Array, account: string, told: () => void): Promise<void> {
    await this.#inTurn(async () => {
      const { roster } = this.#options;
      const revocation = isRevocation(bytes) ? openRevocation(roster.root, bytes) : undefined;
      const certificate = revocation?.certificate ?? openCertificate(roster.root, bytes);
      if (revocation?.by === 'member' && certificate.account === account) {
        return await this.#end(certificate, bytes, told);
      }
      await this.#restore(certificate, bytes, revocation !== undefined);
      return told();
    });
  }

  /**
   * Ends a membership in the clusterset's name.
   * @param signed by the root; absent: the membership key signs, and the id stays held
   * @throws {Error} when there is no such member, or the revocation is not good
   */
  async revoke(cluster: ClusterId, reason: string, signed?: Uint8Array): Promise<void> {
    await this.#inTurn(async () => {
      const { roster, keys, now } = this.#options;
      const certificate =
        roster.ledger.members.get(cluster) ?? roster.ledger.endsOf(cluster).at(-1)?.certificate;
      if (certificate === undefined) {
        const next = 'See who is: clusterctl broker members';
        throw new Error(`Cannot revoke "${cluster}": it is not a member. ${next}`);
      }
      const bytes = signed ?? signRevocation(keys.authority, certificate.bytes, reason, now());
      await this.#end(certificate, bytes).catch((cause: unknown) => {
        if (cause instanceof Refused) throw cause;
        const next = 'The broker keeps that, and tells everybody as soon as nats-server answers';
        throw new Error(`Cannot tell everybody that "${cluster}" is revoked. ${next}`, { cause });
      });
    });
  }

  async #join(bytes: Uint8Array, tokenId: string): Promise<JoinGrant | JoinRefusal> {
    const { paths, roster, log, now } = this.#options;
    try {
      const sealed = splitRequest(bytes);
      const token = sealed.claimed.token === tokenId ? await findToken(paths, tokenId) : undefined;
      const verdict = judgeJoin(roster, token, sealed, now());
      if (!('fault' in verdict)) return await this.#admit(verdict);
      log.warn(
        { cluster: sealed.claimed.cluster, fault: verdict.fault },
        `Refused a join: ${verdict.reason}`,
      );
      return verdict;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return malformed(error);
    }
  }

  async #admit({ request, token, index, unchanged }: Admission): Promise<JoinGrant | JoinRefusal> {
    const { paths, keys, roster, effects, log, now } = this.#options;
    const { cluster, identity } = request;
    const account = roster.accountKey(cluster, identity);
    if (unchanged !== undefined) {
      await effects.admitted(cluster, memberAccountJwt(keys, unchanged));
      return { certificate: unchanged.bytes, jwt: this.#userJwt(request.user, unchanged) };
    }
    const certificate: Certificate = {
      cluster,
      account: parseAccount(account.publicKey),
      identity,
      index,
      podCidrs: token.podCidrs,
      serviceCidrs: token.serviceCidrs,
      slots: SLOTS_DEFAULT,
      serial: roster.nextSerial(now()),
    };
    const bytes = signCertificate(keys.authority, certificate, now());
    const verdict = await roster.record(cluster, bytes, now());
    if (verdict.outcome === 'refused') return malformed(new Refused(verdict.code, verdict.reason));
    await saveToken(paths, { ...token, usedBy: identity });
    await effects.admitted(cluster, memberAccountJwt(keys, certificate));
    log.info({ cluster, index }, 'A cluster joined');
    return { certificate: bytes, jwt: this.#userJwt(request.user, certificate) };
  }

  /** Never dated before the account's own JWT, which voids what was given out earlier. */
  #userJwt(user: NkeyPublic, { cluster, identity, serial }: Certificate): string {
    const signer = this.#options.roster.accountKey(cluster, identity);
    const issuedAt = Math.floor(Math.max(this.#options.now().getTime(), serial) / 1000);
    return encodeJwt({ name: cluster, subject: user, signer, claims: memberUser(SLOTS_DEFAULT), issuedAt });
  }

  /**
   * Only what this broker gave out itself comes back: the account has to follow from its own secret, so a membership key
   * that was stolen is not enough.
   */
  async #restore(
    { cluster, identity, account }: Certificate,
    bytes: Uint8Array,
    isEnd: boolean,
  ): Promise<void> {
    const { roster, keys, effects, log, now } = this.#options;
    if (roster.accountKey(cluster, identity).publicKey !== parseAccountKey(account)) {
      throw new Refused('untrusted-signer', 'this broker has given out no such account');
    }
    const verdict = await roster.record(cluster, bytes, now());
    if (verdict.outcome === 'unchanged') return;
    if (verdict.outcome === 'refused') throw new Refused(verdict.code, verdict.reason);
    const member = roster.ledger.members.get(cluster);
    if (isEnd) await effects.ended(cluster, parseAccountKey(account));
    else if (member !== undefined) await effects.admitted(cluster, memberAccountJwt(keys, member));
    log.warn({ cluster }, 'A member knew something newer of a cluster than the data directory: taken over');
  }

  async #end({ cluster, account }: Certificate, bytes: Uint8Array, told?: () => void): Promise<void> {
    const { roster, effects, log, now } = this.#options;
    const verdict = await roster.record(cluster, bytes, now());
    if (verdict.outcome === 'refused') throw new Refused(verdict.code, verdict.reason);
    await effects.ended(cluster, parseAccountKey(account), told);
    if (verdict.outcome === 'accepted') log.info({ cluster }, 'A membership ended');
  }

  #inTurn<Result>(task: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(task);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

function malformed({ code, message }: Refused): JoinRefusal {
  const next = 'Use the same release of Isthmus on both sides, then run the join again';
  return { fault: 'malformed', reason: `the broker refuses the request (${code}): ${message}`, next };
}
