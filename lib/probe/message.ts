// A path probe as bytes: who asks what, what is answered, and what the speaker sees.
// This module is pure.

import { MAX_INDEX } from '#lib/constants';

/**
 *     0  magic `ISTP`                       16  sequence of the ask
 *     4  version 2                          20  length of the ask in bytes: as sent, and in answers as it arrived
 *     5  kind: 1 + 2 × its place in KINDS,  22  two zero bytes
 *        and 1 more for answers             24  in asks: nonce of the last ask that was heard from the far end, or 0
 *     6  flags                              32  16 bytes of HMAC-SHA-256 over what is before it (see seal.ts)
 *     7  zero                               48  asks: zeros up to their length; answers on a link: bitmap of clusters
 *     8  nonce of the ask
 *
 * Numbers are big-endian. Flags: 0–1 does the speaker hear answers (0 unknown, 1 yes, 2 no), 2 impaired, 3 draining, 4 a
 * bitmap follows, 5 blocked, 6 news; the others are not looked at.
 */
const MAGIC = 0x49_53_54_50;
const VERSION = 2;
const HEADER = 48;
/** Where the seal stands; what is before it is sealed. */
export const SEAL_AT = 32;
export const SEAL_BYTES = 16;
/** A datagram's shortest length in bytes: every small ask of a tunnel, and its answer. */
export const SMALL_BYTES = HEADER;
/** An ask of this length may be answered with the largest bitmap. */
export const ROOMY_BYTES = HEADER + Math.ceil((MAX_INDEX + 1) / 8);

const KINDS = ['tunnel', 'transit', 'link'] as const;
const HEARS = ['unknown', 'yes', 'no'] as const;
const [IMPAIRED, DRAINING, REACHES, BLOCKED, NEWS] = [4, 8, 16, 32, 64];

/** Between two gateways; through a far gateway to a worker behind it, which echoes; between nodes of one cluster. */
export type ProbeKind = (typeof KINDS)[number];

/** What a speaker tells of itself. */
export interface Flags {
  /** Whether its own asks over this path are answered. */
  readonly hears: (typeof HEARS)[number];
  /** It answers, and does not forward everything that it should. */
  readonly impaired: boolean;
  /** It will be gone soon. */
  readonly draining: boolean;
  /** Nobody behind the far end answers it through that one: what the far end cannot find out by itself. */
  readonly blocked: boolean;
}

export interface Probe {
  readonly way: 'ask' | 'answer';
  readonly kind: ProbeKind;
  readonly flags: Flags;
  readonly nonce: bigint;
  /** Counts the asks of one speaker to one far end; 32 bits. */
  readonly sequence: number;
  /** Bytes of the ask: as it was sent, and in answers as it arrived. */
  readonly length: number;
  /** Nonce of the last ask that the speaker heard from whom it asks; 0 where none, and in answers. */
  readonly heard: bigint;
  /** The speaker's answers tell something new: worth an ask. Said in asks. */
  readonly isNews?: true;
  /** Indexes of the clusters that the speaker reaches; only in answers on a link. */
  readonly reach?: ReadonlySet<number>;
}

/** Why bytes are no probe of ours. */
export type Fault = 'malformed' | 'version';

export const SILENT: Flags = { hears: 'unknown', impaired: false, draining: false, blocked: false };

/** Without a seal. An ask is as long as it says. */
export function encodeProbe(probe: Probe): Buffer {
  const map = bitmap(probe.reach);
  const bytes = Buffer.alloc(probe.way === 'ask' ? probe.length : HEADER + map.length);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt8(VERSION, 4);
  bytes.writeUInt8(1 + 2 * KINDS.indexOf(probe.kind) + (probe.way === 'answer' ? 1 : 0), 5);
  bytes.writeUInt8(flagBits(probe), 6);
  bytes.writeBigUInt64BE(probe.nonce, 8);
  bytes.writeUInt32BE(probe.sequence, 16);
  bytes.writeUInt16BE(probe.length, 20);
  bytes.writeBigUInt64BE(probe.heard, 24);
  if (probe.way === 'answer') bytes.set(map, HEADER);
  return bytes;
}

/** A fault for anything else: probes are not answered with complaints. */
export function parseProbe(bytes: Buffer): Probe | Fault {
  if (bytes.length < 16 || bytes.readUInt32BE(0) !== MAGIC) return 'malformed';
  if (bytes.readUInt8(4) !== VERSION) return 'version';
  return bytes.length < HEADER ? 'malformed' : read(bytes);
}

function read(bytes: Buffer): Probe | Fault {
  const code = bytes.readUInt8(5) - 1;
  const kind = KINDS[code >> 1];
  const bits = bytes.readUInt8(6);
  const flags = flagsIn(bits);
  if (kind === undefined || flags === undefined) return 'malformed';
  const probe: Probe = {
    way: code % 2 === 0 ? 'ask' : 'answer',
    kind,
    flags,
    nonce: bytes.readBigUInt64BE(8),
    sequence: bytes.readUInt32BE(16),
    length: bytes.readUInt16BE(20),
    heard: bytes.readBigUInt64BE(24),
    ...((bits & NEWS) !== 0 && { isNews: true }),
    ...((bits & REACHES) === 0 ? {} : { reach: indexes(bytes.subarray(HEADER, ROOMY_BYTES)) }),
  };
  return fits(probe, bytes.length) ? probe : 'malformed';
}

/**
 * The answer to an ask, never longer than it: a bitmap that does not fit is left out, which says nothing about clusters.
 */
export function answerTo(ask: Probe, flags: Flags, reach?: ReadonlySet<number>): Probe {
  const { kind, nonce, sequence, length } = ask;
  const answer: Probe = { way: 'answer', kind, flags, nonce, sequence, length, heard: 0n };
  if (kind !== 'link' || reach === undefined || HEADER + bitmap(reach).length > length) return answer;
  return { ...answer, reach };
}

/** What a responder without keys answers: the ask's own header and seal, called an answer. */
export function echoOf(ask: Buffer): Buffer {
  const bytes = Buffer.from(ask.subarray(0, HEADER));
  bytes.writeUInt8(bytes.readUInt8(5) + 1, 5);
  return bytes;
}

/** A datagram cut off or stretched on its way is nobody's. */
function fits({ way, kind, length, reach }: Probe, bytes: number): boolean {
  if (way === 'ask') return reach === undefined && length === bytes;
  if (kind !== 'link' || reach === undefined) return reach === undefined && bytes === HEADER;
  return bytes <= ROOMY_BYTES;
}

function flagBits({ way, flags, isNews, reach }: Probe): number {
  const bits = [
    HEARS.indexOf(flags.hears),
    flags.impaired ? IMPAIRED : 0,
    flags.draining ? DRAINING : 0,
    flags.blocked ? BLOCKED : 0,
    isNews === true ? NEWS : 0,
    reach === undefined || way === 'ask' ? 0 : REACHES,
  ];
  return bits.reduce((sum, bit) => sum | bit, 0);
}

function flagsIn(bits: number): Flags | undefined {
  const hears = HEARS[bits & 3];
  const isSet = (bit: number): boolean => (bits & bit) !== 0;
  return hears && { hears, impaired: isSet(IMPAIRED), draining: isSet(DRAINING), blocked: isSet(BLOCKED) };
}

/** No longer than its highest index needs. */
function bitmap(reach: ReadonlySet<number> | undefined): Uint8Array {
  if (reach === undefined || reach.size === 0) return new Uint8Array();
  const map = new Uint8Array((Math.max(...reach) >> 3) + 1);
  for (const index of reach) map[index >> 3] = (map[index >> 3] ?? 0) | (1 << (index & 7));
  return map;
}

function indexes(map: Uint8Array): ReadonlySet<number> {
  const found = new Set<number>();
  for (const [at, byte] of map.entries()) {
    for (let bit = 0; bit < 8; bit += 1) if ((byte & (1 << bit)) !== 0) found.add(8 * at + bit);
  }
  return found;
}
