// What is believed at the moment: members, ends of membership, and the newest record of every slot.

import type { Cidr } from '#lib/ip';
import type { ClusterId } from '#lib/names';
import { createHash } from 'node:crypto';
import type { Content } from '../records/kinds.ts';
import type { Root } from './authority.ts';
import type { Certificate, SignedCertificate } from './certificate.ts';
import type { Fabric } from './fabric.ts';
import type { Account } from './header.ts';
import type { VerifyingKey } from './keys.ts';
import type { Counter } from './record.ts';
import type { SignedRevocation } from './revocation.ts';
import { Territory } from './territory.ts';

/** A record that was accepted. */
export interface HeldRecord extends Counter {
  readonly cluster: ClusterId;
  readonly account: Account;
  readonly slot: string;
  /** Absent: a tombstone. It stays held, so that what it buried cannot come back. */
  readonly content?: Content;
  readonly bytes: Uint8Array;
  /** SHA-256 of what is signed, hexadecimal. */
  readonly digest: string;
}

/** Something accepted, ready to be applied. */
export type Entry =
  | { readonly sort: 'certificate'; readonly certificate: SignedCertificate }
  | { readonly sort: 'revocation'; readonly revocation: SignedRevocation }
  | { readonly sort: 'record'; readonly record: HeldRecord };

/** What never changes in a clusterset. */
export interface Pins {
  readonly root: Root;
  readonly brokerAccount: Account;
  readonly fabric: Fabric;
}

/**
 * Believes whatever it is handed: {@link admit} judges first. What comes in any order ends in the same state, because
 * every slot keeps the highest (epoch, version), every member the highest serial, and an end is never forgotten.
 */
export class Ledger {
  readonly pins: Pins;
  readonly #members = new Map<ClusterId, SignedCertificate>();
  readonly #byAccount = new Map<Account, ClusterId>();
  readonly #ends = new Map<ClusterId, readonly SignedRevocation[]>();
  readonly #endedIdentities = new Set<VerifyingKey>();
  readonly #records = new Map<ClusterId, Map<string, HeldRecord>>();
  readonly #territory = new Territory();
  /** Whose claims stand: members, and those whose end nobody has freed. */
  readonly #claims = new Map<ClusterId, SignedCertificate>();
  #digest: string | undefined;

  constructor(pins: Pins) {
    this.pins = pins;
  }

  get members(): ReadonlyMap<ClusterId, SignedCertificate> {
    return this.#members;
  }

  memberOf(account: Account): SignedCertificate | undefined {
    const cluster = this.#byAccount.get(account);
    return cluster === undefined ? undefined : this.#members.get(cluster);
  }

  /** The ends of all memberships of a cluster id, by rising serial. */
  endsOf(cluster: ClusterId): readonly SignedRevocation[] {
    return this.#ends.get(cluster) ?? [];
  }

  /** Every end that is known. */
  get ends(): readonly SignedRevocation[] {
    return [...this.#ends.values()].flat();
  }

  /** Last certificates of who was cut off and did not leave, as long as nobody else was certified for what they held. */
  get revoked(): readonly SignedCertificate[] {
    return [...this.#ends].flatMap(([cluster, ends]) => {
      const last = ends.at(-1);
      if (last === undefined || last.by === 'member' || this.#members.has(cluster)) return [];
      return this.#isTaken(last.certificate) ? [] : [last.certificate];
    });
  }

  isEnded(identity: VerifyingKey): boolean {
    return this.#endedIdentities.has(identity);
  }

  record(cluster: ClusterId, slot: string): HeldRecord | undefined {
    return this.#records.get(cluster)?.get(slot);
  }

  recordsOf(cluster: ClusterId): readonly HeldRecord[] {
    return [...(this.#records.get(cluster)?.values() ?? [])];
  }

  /** Another cluster whose claims the certificate would cross, and what they share. */
  clash(certificate: Certificate): { readonly cluster: ClusterId; readonly over: string } | undefined {
    for (const cidr of cidrsOf(certificate)) {
      const plot = this.#territory.clash(cidr, certificate.cluster);
      if (plot !== undefined) return { cluster: plot.cluster, over: `${cidr} and its ${plot.cidr}` };
    }
    return this.#clashOfNames(certificate);
  }

  apply(entry: Entry): void {
    if (entry.sort !== 'record') this.#digest = undefined;
    switch (entry.sort) {
      case 'certificate':
        this.#admit(entry.certificate);
        break;
      case 'revocation':
        this.#end(entry.revocation);
        break;
      case 'record': {
        const { record } = entry;
        const slots = this.#records.get(record.cluster) ?? new Map<string, HeldRecord>();
        this.#records.set(record.cluster, slots.set(record.slot, record));
        break;
      }
    }
  }

  /** Digest over the newest directory entry of every cluster id, to compare with the beacon's. */
  directoryDigest(): string {
    const ends = [...this.#ends].flatMap(([cluster, all]) =>
      all.slice(-1).map((end) => [cluster, end] as const),
    );
    this.#digest ??= directoryDigest(
      [...ends, ...this.#members].map(([cluster, { digest }]) => [cluster, digest]),
    );
    return this.#digest;
  }

  #admit(certificate: SignedCertificate): void {
    const { cluster } = certificate;
    const before = this.#members.get(cluster);
    // Records signed by another key would not verify again when they are read from disk.
    if (before?.identity !== certificate.identity) this.#records.delete(cluster);
    if (before !== undefined) this.#byAccount.delete(before.account);
    this.#members.set(cluster, certificate);
    this.#byAccount.set(certificate.account, cluster);
    this.#claim(certificate);
  }

  #end(revocation: SignedRevocation): void {
    const { certificate } = revocation;
    const { cluster, serial, identity } = certificate;
    const others = this.endsOf(cluster).filter((end) => end.certificate.serial !== serial);
    this.#ends.set(
      cluster,
      [...others, revocation].sort((a, b) => a.certificate.serial - b.certificate.serial),
    );
    this.#endedIdentities.add(identity);
    const member = this.#members.get(cluster);
    if (member !== undefined && member.serial > serial && member.identity !== identity) return;
    if (member !== undefined) this.#byAccount.delete(member.account);
    this.#members.delete(cluster);
    this.#records.delete(cluster);
    if (revocation.by === 'membership') this.#claim(member ?? certificate);
    else this.#release(cluster);
  }

  #claim(certificate: SignedCertificate): void {
    this.#release(certificate.cluster);
    this.#claims.set(certificate.cluster, certificate);
    for (const cidr of cidrsOf(certificate)) {
      // What the territory holds is disjoint; an end that comes after somebody else was certified claims nothing.
      if (this.#territory.clash(cidr, certificate.cluster) === undefined) {
        this.#territory.add(cidr, certificate.cluster);
      }
    }
  }

  #release(cluster: ClusterId): void {
    const held = this.#claims.get(cluster);
    if (held !== undefined) for (const cidr of cidrsOf(held)) this.#territory.remove(cidr, cluster);
    this.#claims.delete(cluster);
  }

  /** Somebody else holds part of it by now. */
  #isTaken(certificate: Certificate): boolean {
    return cidrsOf(certificate).some(
      (cidr) => this.#territory.clash(cidr, certificate.cluster) !== undefined,
    );
  }

  #clashOfNames(
    certificate: Certificate,
  ): { readonly cluster: ClusterId; readonly over: string } | undefined {
    for (const other of this.#claims.values()) {
      if (other.cluster === certificate.cluster) continue;
      if (other.index === certificate.index)
        return { cluster: other.cluster, over: `the index ${other.index}` };
      if (other.account === certificate.account) return { cluster: other.cluster, over: 'the account' };
      if (other.identity === certificate.identity)
        return { cluster: other.cluster, over: 'the identity key' };
    }
    return undefined;
  }
}

/** Digest over (cluster id, digest of its newest entry); the order of the input does not matter, the last of one id wins. */
export function directoryDigest(entries: Iterable<readonly [ClusterId, string]>): string {
  const lines = [...new Map(entries)].map(([cluster, digest]) => `${cluster} ${digest}\n`).sort();
  return createHash('sha256').update(lines.join('')).digest('hex');
}

function cidrsOf(certificate: Certificate): readonly Cidr[] {
  return [...certificate.podCidrs, ...certificate.serviceCidrs];
}
