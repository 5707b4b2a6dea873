// A path probe as bytes: who asks, and which question is answered.
// This module is pure.

/**
 * 16 bytes: magic `ISTP`, version 1, kind (1 asks, 2 answers), two zero bytes, eight random ones that the answer repeats.
 * WireGuard has authenticated the sender when one arrives: a fabric address is accepted from its own tunnel only.
 * An answer is as long as its question, so that nobody is sent more than was asked with.
 */
const LENGTH = 16;
const MAGIC = 0x49_53_54_50;
const VERSION = 1;

export type ProbeKind = 'ask' | 'answer';

export interface Probe {
  readonly kind: ProbeKind;
  readonly nonce: bigint;
}

export function encodeProbe({ kind, nonce }: Probe): Buffer {
  const bytes = Buffer.alloc(LENGTH);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt8(VERSION, 4);
  bytes.writeUInt8(kind === 'ask' ? 1 : 2, 5);
  bytes.writeBigUInt64BE(nonce, 8);
  return bytes;
}

/** Undefined for anything else: probes are not answered with complaints. */
export function parseProbe(bytes: Buffer): Probe | undefined {
  if (bytes.length !== LENGTH || bytes.readUInt32BE(0) !== MAGIC || bytes.readUInt8(4) !== VERSION)
    return undefined;
  const kind = bytes.readUInt8(5);
  if (kind !== 1 && kind !== 2) return undefined;
  return { kind: kind === 1 ? 'ask' : 'answer', nonce: bytes.readBigUInt64BE(8) };
}
