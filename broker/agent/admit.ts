// Whether a cluster may join: every reason to say no, each with what to do next.
// A verdict follows from the roster, the token and the request; nothing is changed here.

import { contains, firstOverlap } from '#lib/ip';
import type { Cidr } from '#lib/ip';
import type { JoinFault, JoinRefusal, JoinRequest, SealedRequest } from '../join/message.ts';
import { openCertificate, sharedCidr } from '../trust/certificate.ts';
import type { Certificate, SignedCertificate } from '../trust/certificate.ts';
import { Refused } from '../trust/refusal.ts';
import type { Roster } from './roster.ts';
import type { StoredToken } from './tokens.ts';

/** What is to be certified; serial and account follow. */
export interface Admission {
  readonly request: JoinRequest;
  readonly token: StoredToken;
  readonly index: number;
  /** The certificate in force says all of it already: the same join, run again. */
  readonly unchanged?: SignedCertificate;
}

/** Stops a judgement with its reason. */
class No extends Error {
  readonly refusal: JoinRefusal;

  constructor(fault: JoinFault, reason: string, next: string) {
    super(reason);
    this.refusal = { fault, reason, next };
  }
}

const NEW_TOKEN = 'Ask for a new token: clusterctl broker token';

export function judgeJoin(
  roster: Roster,
  token: StoredToken | undefined,
  sealed: SealedRequest,
  now: Date,
): Admission | JoinRefusal {
  try {
    const known = refuseToken(token, sealed, now);
    const request = sealed.claimed;
    refuseIdentity(roster, request);
    refuseOverlaps(roster, known, request);
    const held = roster.ledger.members.get(request.cluster);
    if (held !== undefined && known.usedBy === request.identity) {
      refuseFormer(held, known);
      return { request, token: known, index: held.index, unchanged: held };
    }
    return { request, token: known, index: indexFor(roster, request) };
  } catch (error) {
    if (error instanceof No) return error.refusal;
    throw error;
  }
}

function refuseToken(token: StoredToken | undefined, sealed: SealedRequest, now: Date): StoredToken {
  const { claimed } = sealed;
  if (token === undefined) {
    throw new No(
      'unknown-token',
      'this broker does not know the token',
      `It may be another broker's. ${NEW_TOKEN}`,
    );
  }
  try {
    sealed.open(token.secret);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new No('altered-token', 'the token was altered', `Copy it again, whole, or: ${NEW_TOKEN}`);
  }
  if (claimed.cluster !== token.cluster) {
    throw new No('altered-token', `the token is for the cluster "${token.cluster}"`, NEW_TOKEN);
  }
  if (token.usedBy !== undefined && token.usedBy !== claimed.identity) {
    const reason = 'the token was used already, by another identity key';
    throw new No('used-token', reason, `${NEW_TOKEN}. If nobody of yours used it, revoke that member`);
  }
  if (token.usedBy === undefined && now.getTime() >= Date.parse(token.expires)) {
    throw new No('expired-token', `the token expired at ${token.expires}`, NEW_TOKEN);
  }
  return token;
}

/** A later token has given other CIDRs since: the earlier one must not bring its own back. */
function refuseFormer(held: SignedCertificate, token: StoredToken): void {
  if (says(held, token)) return;
  throw new No(
    'used-token',
    'the token was used already, and the cluster has joined by another since',
    NEW_TOKEN,
  );
}

function refuseIdentity(roster: Roster, { cluster, identity }: JoinRequest): void {
  const { ledger } = roster;
  if (ledger.isEnded(identity)) {
    const next = 'Move the secrets directory away and join again: that makes a new identity';
    throw new No('identity-ended', 'its identity key belongs to a membership that ended', next);
  }
  const held = ledger.members.get(cluster);
  if (held !== undefined && held.identity !== identity) {
    const next = `Use the secrets directory that it joined with, or end that membership: clusterctl broker revoke ${cluster}`;
    throw new No('cluster-taken', 'a member with this id and another identity key is there already', next);
  }
  if (held === undefined && ledger.endsOf(cluster).at(-1)?.by === 'membership') {
    const next = `Free it with the root key: clusterctl broker revoke ${cluster} --root-key FILE`;
    throw new No('cluster-held', 'the id was revoked and is not free yet', next);
  }
}

function refuseOverlaps(roster: Roster, token: StoredToken, request: JoinRequest): void {
  const own = [...token.podCidrs, ...token.serviceCidrs];
  const { fabric } = roster.ledger.pins;
  const prefixes: readonly Cidr[] = [fabric.v4, fabric.v6];
  const inFabric = firstOverlap(own, prefixes);
  if (inFabric !== undefined) {
    const reason = `${kindOf(token, inFabric[0])} ${inFabric[0]} overlaps the clusterset's fabric ${inFabric[1]}`;
    throw new No('overlap-fabric', reason, `Choose another CIDR. ${NEW_TOKEN}`);
  }
  for (const claim of claimsOn(roster)) {
    const shared = claim.cluster === request.cluster ? undefined : sharedCidr(claim, token);
    if (shared !== undefined) {
      const reason = `${kindOf(token, shared[1])} ${shared[1]} overlaps ${shared[0]} of "${claim.cluster}"`;
      throw new No('overlap-member', reason, `Choose another CIDR. ${NEW_TOKEN}`);
    }
  }
  refuseHostNetworks(roster, token, request);
}

function refuseHostNetworks(roster: Roster, token: StoredToken, request: JoinRequest): void {
  const own = [...token.podCidrs, ...token.serviceCidrs];
  const { fabric } = roster.ledger.pins;
  for (const network of request.hostNetworks) {
    // The cluster's pods and nodes may well have addresses inside its own CIDRs.
    if (own.some((cidr) => contains(cidr, network))) continue;
    const others = claimsOn(roster).filter(({ cluster }) => cluster !== request.cluster);
    const named: readonly (readonly [string, readonly Cidr[]])[] = [
      ["the clusterset's fabric", [fabric.v4, fabric.v6]],
      ['its own CIDR', own],
      ...others.map((other) => [`"${other.cluster}"`, [...other.podCidrs, ...other.serviceCidrs]] as const),
    ];
    for (const [whose, theirs] of named) {
      const shared = firstOverlap(theirs, [network]);
      if (shared === undefined) continue;
      const reason = `the host's network ${network} overlaps ${shared[0]}, ${whose}`;
      throw new No('overlap-host', reason, 'Join from a host on another network, or choose other CIDRs');
    }
  }
}

/** Certificates whose CIDRs are taken: members', and those that were revoked and not freed. */
export function claimsOn({ ledger }: Roster): readonly Certificate[] {
  const held = ledger.ends.filter(
    ({ by, certificate }) =>
      by === 'membership' &&
      !ledger.members.has(certificate.cluster) &&
      ledger.endsOf(certificate.cluster).at(-1)?.certificate.serial === certificate.serial,
  );
  return [...ledger.members.values(), ...held.map(({ certificate }) => certificate)];
}

/** A former certificate proves which index was the cluster's, when this disk has forgotten it. */
function indexFor(roster: Roster, { cluster, identity, certificate }: JoinRequest): number {
  const former = certificate === undefined ? undefined : readFormer(roster, certificate);
  const index =
    former?.cluster === cluster && former.identity === identity && !isTaken(roster, former)
      ? former.index
      : roster.indexFor(cluster);
  if (index !== undefined) return index;
  const next = 'Revoke a member that is gone: clusterctl broker revoke';
  throw new No('no-index', 'the clusterset has as many clusters as it can have', next);
}

function readFormer(roster: Roster, bytes: Uint8Array): SignedCertificate | undefined {
  try {
    return openCertificate(roster.root, bytes);
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

function isTaken(roster: Roster, former: SignedCertificate): boolean {
  return claimsOn(roster).some((claim) => claim.index === former.index && claim.cluster !== former.cluster);
}

function says(held: SignedCertificate, token: StoredToken): boolean {
  const text = (all: readonly Cidr[]): string => all.join(' ');
  return text(held.podCidrs) === text(token.podCidrs) && text(held.serviceCidrs) === text(token.serviceCidrs);
}

function kindOf(token: StoredToken, cidr: Cidr): string {
  return token.podCidrs.includes(cidr) ? 'pod CIDR' : 'service CIDR';
}
