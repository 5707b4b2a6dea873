// Why something that arrived from the broker is not believed: a code for machines, a sentence for people.
// This module is pure.

/** One row per way of being refused. `ALARM_CODES` are those that no honest party ever causes. */
export type RefusalCode =
  /** Not our framing, not JSON, or a field that is missing or of the wrong shape. */
  | 'malformed'
  /** Longer than its kind may be, before or after inflating. */
  | 'oversized'
  /** Signed for another clusterset. */
  | 'wrong-clusterset'
  /** The account in the subject, in the header and in the certificate are not one. */
  | 'wrong-account'
  /** The kind or slot in the header is not that of the subject. */
  | 'wrong-slot'
  /** The signature does not fit the bytes. */
  | 'bad-signature'
  /** The signer's key is not certified by the pinned root. */
  | 'untrusted-signer'
  /** The member, or this identity key, was revoked. */
  | 'revoked'
  /** The cluster id or CIDRs belong to a member whose revocation nobody has freed. */
  | 'held'
  /** Nobody with this account is a member (yet). */
  | 'unknown-member'
  /** (epoch, version) or serial is below what is held. */
  | 'older'
  /** Same (epoch, version) or serial, other contents: the signer said two things. */
  | 'equivocation'
  /** The contents claim more than the certificate gives. */
  | 'outside-certificate'
  /** A certificate would give a member that is held another identity key or account. */
  | 're-identified'
  /** A certificate claims what another member holds: CIDRs, index, account or identity key. */
  | 'overlap'
  /** A newer schema than this program reads: the last usable version stays. */
  | 'unknown-schema'
  /** A kind of record that this program does not know. */
  | 'unknown-kind';

/** Refusals that an honest broker and honest members never cause: somebody should look. */
export const ALARM_CODES: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  'wrong-account',
  'wrong-slot',
  'bad-signature',
  'untrusted-signer',
  'held',
  'equivocation',
  'outside-certificate',
  're-identified',
  'overlap',
]);

/** Thrown by everything that opens what others sent, and by nothing else. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly code: RefusalCode;

  constructor(code: RefusalCode, reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.code = code;
  }
}

/** Refuses as an expression. */
export function refuse(code: RefusalCode, reason: string): never {
  throw new Refused(code, reason);
}
