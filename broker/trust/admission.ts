// The judge of everything that arrives: what is believed, and why the rest is not.
//
// A verdict follows from the ledger, the subject and the bytes alone: no clock, no memory of its own.

import type { ClusterId } from '#lib/names';
import { isClusterId } from '#lib/names';
import { rulesOf } from '../records/kinds.ts';
import type { SignedCertificate } from './certificate.ts';
import { openCertificate } from './certificate.ts';
import type { Account } from './header.ts';
import { isAccount } from './header.ts';
import type { Entry, HeldRecord, Ledger } from './ledger.ts';
import { keyId } from './keys.ts';
import type { OpenedRecord } from './record.ts';
import { compareCounters, openRecord, recordContent } from './record.ts';
import type { RefusalCode } from './refusal.ts';
import { Refused, refuse } from './refusal.ts';
import type { RevokedBy, SignedRevocation } from './revocation.ts';
import { isRevocation, openRevocation } from './revocation.ts';
import { verifyStatement } from './statement.ts';

/** What became of an arrival. */
export type Verdict =
  | { readonly outcome: 'accepted'; readonly entry: Entry }
  /** Held already, to the byte of what is signed. */
  | { readonly outcome: 'unchanged' }
  | { readonly outcome: 'refused'; readonly code: RefusalCode; readonly reason: string };

/** Where something stands in the stream. */
export interface Place {
  readonly account: Account;
  /** `gw.0`, `m`, `dir.east`. */
  readonly slot: string;
}

const PUT = 'mc.put.';
/** `dir.<cluster>`: its certificate, or what ended it. `end.<account>`: what ended it, for good. */
const DIRECTORY = 'dir.';
const END = 'end.';
const UNCHANGED = { outcome: 'unchanged' } as const;
/** The stronger word stands: what frees more replaces what frees less. */
const STRENGTH: Readonly<Record<RevokedBy, number>> = { membership: 0, root: 1, member: 2 };

/** Judges what stood on `subject` (`mc.put.<account>.<slot>`). Never throws, whatever the bytes. */
export function admit(ledger: Ledger, subject: string, bytes: Uint8Array): Verdict {
  try {
    const entry = judge(ledger, placeOf(subject), bytes);
    return entry === undefined ? UNCHANGED : { outcome: 'accepted', entry };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { outcome: 'refused', code: error.code, reason: error.message };
  }
}

/** @throws {Refused} `malformed` */
export function placeOf(subject: string): Place {
  const end = subject.indexOf('.', PUT.length);
  const account = subject.slice(PUT.length, end);
  if (!subject.startsWith(PUT) || end < 0 || !isAccount(account)) {
    return refuse('malformed', `"${subject.slice(0, 128)}" is no subject of records`);
  }
  return { account, slot: subject.slice(end + 1) };
}

/** Undefined: held already. */
function judge(ledger: Ledger, { account, slot }: Place, bytes: Uint8Array): Entry | undefined {
  if (account !== ledger.pins.brokerAccount) return judgeRecord(ledger, { account, slot }, bytes);
  if (slot.startsWith(END)) return judgeRevocation(ledger, { account: slot.slice(END.length) }, bytes);
  const cluster = slot.slice(DIRECTORY.length);
  if (!slot.startsWith(DIRECTORY) || !isClusterId(cluster)) {
    refuse('unknown-kind', `the broker says something of the kind "${slot.slice(0, 64)}"`);
  }
  return isRevocation(bytes)
    ? judgeRevocation(ledger, { cluster }, bytes)
    : judgeCertificate(ledger, cluster, bytes);
}

function judgeCertificate(ledger: Ledger, cluster: ClusterId, bytes: Uint8Array): Entry | undefined {
  const held = ledger.members.get(cluster);
  if (held !== undefined && Buffer.compare(held.bytes, bytes) === 0) return undefined;
  const certificate = openCertificate(ledger.pins.root, bytes);
  refuseOther(certificate, { cluster });
  if (held !== undefined && held.digest === certificate.digest) return undefined;
  refuseEnded(ledger, certificate);
  if (held !== undefined) refuseChangeOf(held, certificate);
  refuseClaims(ledger, certificate);
  return { sort: 'certificate', certificate };
}

function judgeRevocation(ledger: Ledger, whose: Whose, bytes: Uint8Array): Entry | undefined {
  const revocation = openRevocation(ledger.pins.root, bytes);
  refuseOther(revocation.certificate, whose);
  const ends = ledger.endsOf(revocation.certificate.cluster);
  const same = ends.find((end) => end.certificate.serial === revocation.certificate.serial);
  if (same !== undefined && !isStronger(revocation, same)) return undefined;
  return { sort: 'revocation', revocation };
}

function isStronger(a: SignedRevocation, b: SignedRevocation): boolean {
  return STRENGTH[a.by] > STRENGTH[b.by];
}

/** Whose the subject says that it is. */
type Whose = { readonly cluster: ClusterId } | { readonly account: string };

function refuseOther(certificate: SignedCertificate, whose: Whose): void {
  const stands = 'cluster' in whose ? whose.cluster : whose.account;
  const says = 'cluster' in whose ? certificate.cluster : certificate.account;
  if (says !== stands)
    refuse('wrong-slot', `it is about "${says}" and stands under "${stands.slice(0, 64)}"`);
}

/** Who was cut off stays out: by serial, by identity key, and by name until somebody stronger frees it. */
function refuseEnded(ledger: Ledger, certificate: SignedCertificate): void {
  const last = ledger.endsOf(certificate.cluster).at(-1);
  if (ledger.isEnded(certificate.identity)) {
    refuse('revoked', `the identity key ${keyId(certificate.identity)} was revoked`);
  }
  if (last === undefined) return;
  if (certificate.serial <= last.certificate.serial) {
    refuse('revoked', `serial ${certificate.serial} was revoked with all up to ${last.certificate.serial}`);
  }
  const isHeld = last.by === 'membership' && !ledger.members.has(certificate.cluster);
  if (isHeld && certificate.signer !== 'root') {
    refuse(
      'held',
      `"${certificate.cluster}" was revoked, and neither the root nor the member has freed the name`,
    );
  }
}

/** A member's certificate is replaced by a higher serial for the same key and account; only the root may change those. */
function refuseChangeOf(held: SignedCertificate, certificate: SignedCertificate): void {
  if (certificate.serial < held.serial) {
    refuse('older', `serial ${certificate.serial} is below ${held.serial}`);
  }
  if (certificate.serial === held.serial) {
    refuse('equivocation', `serial ${held.serial} was given to two certificates`);
  }
  const isSame = certificate.identity === held.identity && certificate.account === held.account;
  if (!isSame && certificate.signer !== 'root') {
    refuse(
      're-identified',
      `it gives "${held.cluster}" another identity key or account, and the root did not sign it`,
    );
  }
}

function refuseClaims(ledger: Ledger, certificate: SignedCertificate): void {
  const clash = ledger.clash(certificate);
  if (clash !== undefined) refuse('overlap', `it claims ${clash.over} of "${clash.cluster}"`);
}

function judgeRecord(ledger: Ledger, { account, slot }: Place, bytes: Uint8Array): Entry | undefined {
  const certificate = ledger.memberOf(account);
  if (certificate === undefined) return refuse('unknown-member', `the account ${account} is no member's`);
  const held = ledger.record(certificate.cluster, slot);
  if (held !== undefined && Buffer.compare(held.bytes, bytes) === 0) return undefined;
  const record = openRecord(bytes);
  refuseMisplaced(ledger, record, { certificate, slot });
  verifyStatement(record.statement, certificate.identity);
  if (held !== undefined && isHeldAlready(held, record)) return undefined;
  return { sort: 'record', record: read(ledger, record, { certificate, slot }) };
}

interface Owner {
  readonly certificate: SignedCertificate;
  readonly slot: string;
}

/** The header has to name the clusterset, the cluster, the account and the slot that the record was found under. */
function refuseMisplaced(ledger: Ledger, { header }: OpenedRecord, { certificate, slot }: Owner): void {
  if (header.clusterset !== ledger.pins.root.clusterset) {
    refuse('wrong-clusterset', `it is for the clusterset ${header.clusterset}`);
  }
  if (header.account !== certificate.account || header.cluster !== certificate.cluster) {
    refuse('wrong-account', `it says "${header.cluster}" and stands under "${certificate.cluster}"`);
  }
  if (header.slot !== slot) refuse('wrong-slot', `it is for slot ${header.slot} and stands in ${slot}`);
}

/**
 * True: the same record. (epoch, version) decides alone; `issuedAt` is never looked at.
 * @throws {Refused} `older` or `equivocation`
 */
function isHeldAlready(held: HeldRecord, record: OpenedRecord): boolean {
  const order = compareCounters(record.header, held);
  if (order < 0) {
    const { epoch, version } = record.header;
    refuse('older', `(${epoch}, ${version}) is below (${held.epoch}, ${held.version})`);
  }
  if (order > 0) return false;
  if (record.digest === held.digest) return true;
  return refuse('equivocation', `two records say (${held.epoch}, ${held.version})`);
}

/** Contents last: what they cost is only spent on records that their owner signed. */
function read(ledger: Ledger, record: OpenedRecord, { certificate, slot }: Owner): HeldRecord {
  const { header, digest, statement } = record;
  const rules = rulesOf(slot);
  if (rules === undefined)
    return refuse('unknown-kind', `no kind of record stands in slot ${slot.slice(0, 64)}`);
  if (header.kind !== rules.kind) refuse('wrong-slot', `a ${header.kind} does not stand in slot ${slot}`);
  const { cluster, account, epoch, version } = header;
  const held = { cluster, account, slot, epoch, version, digest, bytes: statement.bytes };
  if (header.tombstone) return held;
  if (header.schema > rules.schema) {
    refuse(
      'unknown-schema',
      `its schema ${header.schema} is newer than ${rules.schema}, the newest this program reads`,
    );
  }
  const payload = recordContent(record, rules.limit);
  return { ...held, content: rules.read(payload, { slot, certificate, fabric: ledger.pins.fabric }) };
}
