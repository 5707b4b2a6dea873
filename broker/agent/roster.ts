// Who is a member, on the broker's own disk: the truth that the stream's directory is put right by.

import { hkdfSync } from 'node:crypto';
import { join } from 'node:path';
import * as v from 'valibot';
import { MAX_INDEX } from '#lib/constants';
import { Nkey } from '#lib/nats';
import { isClusterId } from '#lib/names';
import type { ClusterId } from '#lib/names';
import { pinRoot } from '../trust/authority.ts';
import type { Root } from '../trust/authority.ts';
import { admit } from '../trust/admission.ts';
import type { Verdict } from '../trust/admission.ts';
import { openCertificate } from '../trust/certificate.ts';
import type { SignedCertificate } from '../trust/certificate.ts';
import { fabricOf } from '../trust/fabric.ts';
import { parseAccount } from '../trust/header.ts';
import type { VerifyingKey } from '../trust/keys.ts';
import { Ledger } from '../trust/ledger.ts';
import { openRevocation } from '../trust/revocation.ts';
import type { Description, Keys, Paths } from '../server/data-directory.ts';
import { makeDirectory, namesIn, readIfThere, writeWhole } from '../server/files.ts';
import { directorySubject } from '../server/subjects.ts';

const MEMBER = v.object({
  version: v.literal(1),
  certificate: v.exactOptional(v.string()),
  ends: v.array(v.object({ revocation: v.string(), at: v.string() })),
});

/** One cluster id's file, decoded. */
interface Entry {
  readonly certificate?: Uint8Array;
  readonly ends: readonly { readonly revocation: Uint8Array; readonly at: Date }[];
}

/** One line of the directory: what stands under a cluster id now. */
export interface DirectoryEntry {
  readonly cluster: ClusterId;
  readonly subject: string;
  readonly bytes: Uint8Array;
}

/** Members and ended memberships, kept in files; every change is on disk before anybody hears of it. */
export class Roster {
  readonly ledger: Ledger;
  readonly #paths: Paths;
  readonly #keys: Keys;
  readonly #entries = new Map<ClusterId, Entry>();

  private constructor(paths: Paths, keys: Keys, ledger: Ledger) {
    this.#paths = paths;
    this.#keys = keys;
    this.ledger = ledger;
  }

  /** @throws {Error} when a file is damaged */
  static async load(paths: Paths, description: Description, keys: Keys): Promise<Roster> {
    const root = pinRoot(description.root);
    const brokerAccount = parseAccount(keys.broker.publicKey);
    const fabric = fabricOf(description.clusterset, description.fabric4);
    const roster = new Roster(paths, keys, new Ledger({ root, brokerAccount, fabric }));
    await makeDirectory(paths.members);
    for (const name of await namesIn(paths.members)) {
      const cluster = name.replace(/\.json$/, '');
      if (cluster !== name && isClusterId(cluster)) await roster.#read(cluster, join(paths.members, name));
    }
    return roster;
  }

  get root(): Root {
    return this.ledger.pins.root;
  }

  /** What the directory in the stream has to say, sorted by cluster id. */
  get directory(): readonly DirectoryEntry[] {
    const all = [...this.#entries.keys()].sort();
    return all.flatMap((cluster) => {
      const bytes = this.ledger.members.get(cluster)?.bytes ?? this.ledger.endsOf(cluster).at(-1)?.bytes;
      return bytes === undefined ? [] : [{ cluster, subject: this.subjectOf(cluster), bytes }];
    });
  }

  subjectOf(cluster: ClusterId): string {
    return directorySubject(this.#keys.broker.publicKey, cluster);
  }

  /** When each ended membership ended, with its last certificate. */
  get ended(): readonly { readonly certificate: SignedCertificate; readonly at: Date }[] {
    return [...this.#entries.values()].flatMap(({ ends }) =>
      ends.map(({ revocation, at }) => ({
        certificate: openRevocation(this.root, revocation).certificate,
        at,
      })),
    );
  }

  /**
   * Judges an entry as every member will, keeps it on disk, then believes it.
   * @returns the judgement; only `accepted` changed anything
   */
  async record(cluster: ClusterId, bytes: Uint8Array, at: Date): Promise<Verdict> {
    const verdict = admit(this.ledger, this.subjectOf(cluster), bytes);
    if (verdict.outcome !== 'accepted') return verdict;
    const before = this.#entries.get(cluster) ?? { ends: [] };
    const after =
      verdict.entry.sort === 'certificate'
        ? { ...before, certificate: bytes }
        : { ...before, ends: [...before.ends, { revocation: bytes, at }] };
    await writeWhole(join(this.#paths.members, `${cluster}.json`), encode(after));
    this.#entries.set(cluster, after);
    this.ledger.apply(verdict.entry);
    return verdict;
  }

  /** Serials only rise, also when the directory was put back from an old copy: the clock is part of them. */
  nextSerial(now: Date): number {
    const serials = [...this.#certificates()].map(({ serial }) => serial);
    return Math.max(now.getTime(), ...serials.map((serial) => serial + 1));
  }

  /**
   * The index for a cluster: the one that it has or had, else the lowest that nobody has or had, else the one that was
   * given back first. Undefined: all 1,023 are taken.
   */
  indexFor(cluster: ClusterId): number | undefined {
    const all = [...this.#certificates()];
    const own = all.findLast((certificate) => certificate.cluster === cluster)?.index;
    const others = all.filter((certificate) => certificate.cluster !== cluster);
    const taken = new Set(others.filter((other) => this.#isClaimed(other)).map(({ index }) => index));
    if (own !== undefined && !taken.has(own)) return own;
    const used = new Set(others.map(({ index }) => index));
    const fresh = Array.from({ length: MAX_INDEX }, (_, at) => at + 1).find((index) => !used.has(index));
    // By serial, so by time; an index that was given back twice counts from the second time.
    const returned = new Map(
      others.filter(({ index }) => !taken.has(index)).map(({ index, serial }) => [index, serial]),
    );
    return fresh ?? [...returned].sort((a, b) => a[1] - b[1])[0]?.[0];
  }

  /** The NATS account of a cluster's identity: the same one again, whatever the disk forgot. */
  accountKey(cluster: ClusterId, identity: VerifyingKey): Nkey {
    const info = `isthmus-account-v1\0${cluster}\0${identity}`;
    const seed = Buffer.from(hkdfSync('sha256', Buffer.from(this.#keys.accounts, 'base64'), '', info, 32));
    return Nkey.generate('account', () => seed);
  }

  /** Every certificate that was ever given out, as far as this disk knows, by rising serial. */
  *#certificates(): Iterable<SignedCertificate> {
    const ended = this.ledger.ends.map(({ certificate }) => certificate);
    yield* [...ended, ...this.ledger.members.values()].sort((a, b) => a.serial - b.serial);
  }

  #isClaimed({ cluster, serial }: SignedCertificate): boolean {
    const member = this.ledger.members.get(cluster);
    if (member !== undefined) return member.serial === serial;
    return this.ledger.endsOf(cluster).at(-1)?.by === 'membership';
  }

  async #read(cluster: ClusterId, path: string): Promise<void> {
    try {
      const entry = decode((await readIfThere(path)) ?? '');
      if (entry.certificate !== undefined) {
        this.ledger.apply({
          sort: 'certificate',
          certificate: openCertificate(this.root, entry.certificate),
        });
      }
      for (const { revocation } of entry.ends) {
        this.ledger.apply({ sort: 'revocation', revocation: openRevocation(this.root, revocation) });
      }
      this.#entries.set(cluster, entry);
    } catch (error) {
      throw new Error(`Cannot read "${path}": it is damaged. Put it back from a backup`, { cause: error });
    }
  }
}

function encode({ certificate, ends }: Entry): string {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const file = {
    version: 1,
    ...(certificate === undefined ? {} : { certificate: base64(certificate) }),
    ends: ends.map(({ revocation, at }) => ({ revocation: base64(revocation), at: at.toISOString() })),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

function decode(text: string): Entry {
  const { certificate, ends } = v.parse(MEMBER, JSON.parse(text));
  return {
    ...(certificate === undefined ? {} : { certificate: Buffer.from(certificate, 'base64') }),
    ends: ends.map(({ revocation, at }) => ({
      revocation: Buffer.from(revocation, 'base64'),
      at: new Date(at),
    })),
  };
}
