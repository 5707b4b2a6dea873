// What operators do on the broker's host: hand out tokens, see members, revoke. All of it works while no broker runs, too.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { firstOverlap, overlaps, parseCidr, sorted } from '#lib/ip';
import type { Cidr } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import type { ClusterId } from '#lib/names';
import { JoinError } from '../join/errors.ts';
import { rootAuthority } from '../trust/authority.ts';
import { sharedCidr } from '../trust/certificate.ts';
import { parseAccount } from '../trust/header.ts';
import { keyId, SigningKey } from '../trust/keys.ts';
import { signRevocation } from '../trust/revocation.ts';
import type { SignedRevocation } from '../trust/revocation.ts';
import { encodeToken } from '../trust/token.ts';
import { joinUser } from '../server/accounts.ts';
import { pathsOf, readDescription, readKeys, urlsOf } from '../server/data-directory.ts';
import type { Description, Keys, Paths } from '../server/data-directory.ts';
import { BrokerRunningError, lockDataDirectory } from '../server/lock.ts';
import { Admissions } from './admissions.ts';
import { claimsOn } from './admit.ts';
import { mintUser } from './connection.ts';
import { sendControl } from './control.ts';
import { Roster } from './roster.ts';
import { newTokenId, saveToken } from './tokens.ts';

export interface IssueTokenOptions {
  readonly dir: string;
  readonly cluster: string;
  readonly podCidrs: readonly string[];
  readonly serviceCidrs?: readonly string[];
  readonly ttlSeconds: number;
  readonly now?: () => Date;
}

export interface IssuedToken {
  /** One line; a secret until it is used or has expired. */
  readonly token: string;
  readonly id: string;
  /** ISO 8601. */
  readonly expires: string;
}

/** The agent says "expired" in clear words; the server, which would only say "authorization violation", waits for it. */
const GRACE_SECONDS = 24 * 3600;
/** Milliseconds that a broker may take until it listens to commands. */
const STARTING_MS = 10_000;

/**
 * Makes a token for one join of one cluster with these CIDRs.
 * @throws {SyntaxError} when the id or a CIDR cannot be read, there is no pod CIDR, or the CIDRs overlap each other
 * @throws {JoinError} when they overlap the fabric, or what another cluster holds
 */
export async function issueToken(options: IssueTokenOptions): Promise<IssuedToken> {
  const { paths, description, keys, roster } = await open(options.dir);
  const cluster = parseClusterId(options.cluster);
  const podCidrs = sorted(options.podCidrs.map(parseCidr));
  const serviceCidrs = sorted((options.serviceCidrs ?? []).map(parseCidr));
  refuseCidrs(roster, cluster, { podCidrs, serviceCidrs });
  const now = (options.now ?? ((): Date => new Date()))();
  const expires = new Date(now.getTime() + options.ttlSeconds * 1000);
  const id = newTokenId();
  const secret = randomBytes(32).toString('base64url');
  const until = Math.floor(expires.getTime() / 1000) + GRACE_SECONDS;
  const { user, jwt } = mintUser(keys.join, `join-${id}`, joinUser(id), { issuedAt: now, expiresAt: until });
  const stored = { id, secret, cluster, podCidrs, serviceCidrs, expires: expires.toISOString() };
  await saveToken(paths, stored);
  const token = encodeToken({
    ...stored,
    urls: urlsOf(description),
    ca: keys.tls.certificate,
    root: description.root,
    brokerAccount: parseAccount(keys.broker.publicKey),
    fabric4: description.fabric4,
    jwt,
    seed: user.reveal(),
  });
  return { token, id, expires: stored.expires };
}

/** What a cluster id stands for now. `held`: revoked, and not free until the root says so. */
export type MemberState = 'member' | 'left' | 'revoked' | 'held';

export interface ListedMember {
  readonly cluster: ClusterId;
  readonly state: MemberState;
  readonly index: number;
  readonly podCidrs: readonly Cidr[];
  readonly serviceCidrs: readonly Cidr[];
  /** First half of a digest of the identity key, to read out on the telephone. */
  readonly identity: string;
  readonly account: string;
  /** ISO 8601: when the certificate was given out. */
  readonly since: string;
}

/** Every cluster id that is or was a member, sorted. */
export async function listMembers({ dir }: { readonly dir: string }): Promise<readonly ListedMember[]> {
  const { roster } = await open(dir);
  return roster.directory.flatMap(({ cluster }) => {
    const end = roster.ledger.endsOf(cluster).at(-1);
    const member = roster.ledger.members.get(cluster);
    const certificate = member ?? end?.certificate;
    if (certificate === undefined) return [];
    const { index, podCidrs, serviceCidrs, identity, account, serial } = certificate;
    return {
      cluster,
      state: member === undefined ? stateOf(end) : 'member',
      index,
      podCidrs,
      serviceCidrs,
      identity: keyId(identity),
      account,
      since: new Date(serial).toISOString(),
    };
  });
}

export interface RevokeOptions {
  readonly dir: string;
  readonly cluster: string;
  /** One sentence, kept in the revocation. */
  readonly reason?: string;
  /** PEM of the clusterset's root key. With it, the id and its CIDRs are free again. */
  readonly rootKey?: string;
  readonly now?: () => Date;
}

export interface Revoked {
  readonly cluster: ClusterId;
  /** A running broker has told everybody; else the next start will. */
  readonly running: boolean;
  /** The id may join again, with a new identity. */
  readonly freed: boolean;
}

/** Ends a membership. @throws {Error} when there is no such member, or the root key is another clusterset's */
export async function revokeMember(options: RevokeOptions): Promise<Revoked> {
  const { dir, reason = 'revoked', rootKey, now = () => new Date() } = options;
  const cluster = parseClusterId(options.cluster);
  const { paths, description, keys, roster } = await open(dir);
  const certificate = roster.ledger.members.get(cluster) ?? roster.ledger.endsOf(cluster).at(-1)?.certificate;
  const root = rootKey === undefined ? undefined : readRoot(rootKey, description);
  const signed =
    root === undefined || certificate === undefined
      ? undefined
      : signRevocation(rootAuthority(root), certificate.bytes, reason, now());
  const revocation = signed === undefined ? {} : { revocation: Buffer.from(signed).toString('base64') };
  const freed = signed !== undefined;
  const command = { command: 'revoke', cluster, reason, ...revocation } as const;
  const lock = await lockUnless(dir, () => sendControl(paths.control, command));
  if (lock === undefined) return { cluster, running: true, freed };
  await using _ = lock;
  const effects = { admitted: async () => {}, ended: async () => {} };
  const log = { info: () => {}, warn: () => {} };
  // Read again: a broker may have run until a moment ago.
  const current = { paths, keys, roster: await Roster.load(paths, description, keys) };
  await new Admissions({ ...current, effects, log, now }).revoke(cluster, reason, signed);
  return { cluster, running: false, freed };
}

/** The data directory's lock, unless a running broker takes the command. One that is just starting is waited for. */
async function lockUnless(dir: string, send: () => Promise<boolean>): Promise<AsyncDisposable | undefined> {
  const deadline = performance.now() + STARTING_MS;
  for (;;) {
    if (await send()) return undefined;
    try {
      return await lockDataDirectory(dir);
    } catch (error) {
      if (!(error instanceof BrokerRunningError) || performance.now() > deadline) throw error;
      await sleep(100);
    }
  }
}

interface Opened {
  readonly paths: Paths;
  readonly description: Description;
  readonly keys: Keys;
  readonly roster: Roster;
}

async function open(dir: string): Promise<Opened> {
  const paths = pathsOf(dir);
  const description = await readDescription(paths);
  const keys = await readKeys(paths, description.root);
  return { paths, description, keys, roster: await Roster.load(paths, description, keys) };
}

/** The agent judges again when the token is used; here the operator who chooses the CIDRs is still at the keyboard. */
function refuseCidrs(
  roster: Roster,
  cluster: ClusterId,
  claims: { readonly podCidrs: readonly Cidr[]; readonly serviceCidrs: readonly Cidr[] },
): void {
  const action = `Cannot make a token for "${cluster}"`;
  const all = [...claims.podCidrs, ...claims.serviceCidrs];
  if (claims.podCidrs.length === 0) throw new SyntaxError(`${action}: it has no pod CIDR. Add --pod-cidr`);
  all.forEach((cidr, at) => {
    const other = all.slice(at + 1).find((later) => overlaps(cidr, later));
    if (other === undefined) return;
    throw new SyntaxError(`${action}: its CIDRs ${cidr} and ${other} overlap. Leave one of them out`);
  });
  const { fabric } = roster.ledger.pins;
  const inFabric = firstOverlap(all, [fabric.v4, fabric.v6]);
  if (inFabric !== undefined) {
    throw new JoinError(
      'overlap-fabric',
      `${action}: ${inFabric[0]} overlaps the clusterset's fabric ${inFabric[1]}. Choose another CIDR`,
    );
  }
  for (const member of claimsOn(roster)) {
    const shared = member.cluster === cluster ? undefined : sharedCidr(member, claims);
    if (shared === undefined) continue;
    throw new JoinError(
      'overlap-member',
      `${action}: ${shared[1]} overlaps ${shared[0]} of "${member.cluster}". Choose another CIDR`,
    );
  }
}

function readRoot(pem: string, description: Description): SigningKey {
  const root = SigningKey.parse(pem);
  if (root.publicKey === description.root) return root;
  throw new Error('Cannot revoke with this root key: it is the root of another clusterset');
}

function stateOf(end: SignedRevocation | undefined): MemberState {
  if (end?.by === 'membership') return 'held';
  return end?.by === 'member' ? 'left' : 'revoked';
}
