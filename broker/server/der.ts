// DER (X.690), as much of it as a certificate needs.
// This module is pure.

/** Tag, length, contents. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const body = concat(contents);
  return concat([Uint8Array.of(tag), lengthOf(body.length), body]);
}

export function sequence(...contents: readonly Uint8Array[]): Uint8Array {
  return der(0x30, ...contents);
}

export function setOf(content: Uint8Array): Uint8Array {
  return der(0x31, content);
}

/** `[n]`, constructed: wraps its contents. */
export function explicit(n: number, ...contents: readonly Uint8Array[]): Uint8Array {
  return der(0xa0 | n, ...contents);
}

/** `[n]`, primitive: replaces the tag of what it holds. */
export function implicit(n: number, content: Uint8Array): Uint8Array {
  return der(0x80 | n, content);
}

export const TRUE: Uint8Array = der(1, Uint8Array.of(255));

/** A non-negative integer from big-endian bytes, in the shortest form. */
export function integer(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0);
  const short = first < 0 ? Uint8Array.of(0) : bytes.subarray(first);
  return der(2, (short[0] ?? 0) > 127 ? concat([Uint8Array.of(0), short]) : short);
}

/** Named bits, trailing zeros left away. `bits` is the first byte, highest bit first. */
export function namedBits(bits: number): Uint8Array {
  let unused = 0;
  while (unused < 7 && (bits & (1 << unused)) === 0) unused += 1;
  return der(3, Uint8Array.of(unused, bits));
}

/** Whole bytes as a bit string. */
export function bitString(bytes: Uint8Array): Uint8Array {
  return der(3, Uint8Array.of(0), bytes);
}

export function octets(bytes: Uint8Array): Uint8Array {
  return der(4, bytes);
}

export function utf8(text: string): Uint8Array {
  return der(12, new TextEncoder().encode(text));
}

/** `1.2.840.10045.4.3.2` */
export function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(6, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** UTCTime up to 2049, GeneralizedTime from 2050 on, as RFC 5280 4.1.2.5 asks. */
export function time(at: Date): Uint8Array {
  const digits = at.toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  const text = at.getUTCFullYear() < 2050 ? digits.slice(2) : digits;
  return der(at.getUTCFullYear() < 2050 ? 0x17 : 0x18, new TextEncoder().encode(text));
}

function base128(value: number): number[] {
  const bytes = [value & 127];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 127) | 128);
  return bytes;
}

function lengthOf(length: number): Uint8Array {
  if (length < 128) return Uint8Array.of(length);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 255);
  return Uint8Array.of(128 | bytes.length, ...bytes);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
