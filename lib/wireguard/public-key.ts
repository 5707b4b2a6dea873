// WireGuard's public keys as branded text.
// This module is pure.

declare const brand: unique symbol;

/** Base64 of 32 bytes, as `wg` prints it. */
export type PublicKey = string & { readonly [brand]: 'public-key' };

/** 32 bytes are 43 characters and `=`; the last one before it carries two bits that are zero. */
const BASE64_KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;
/** How `wg` writes "no key". */
const ZERO_KEY = `${'A'.repeat(43)}=`;

export function isPublicKey(text: string): text is PublicKey {
  return BASE64_KEY.test(text) && text !== ZERO_KEY;
}

/** Throws SyntaxError for anything but the base64 of 32 bytes that are not all zero. */
export function parsePublicKey(text: string): PublicKey {
  if (!isPublicKey(text))
    throw new SyntaxError(`Cannot parse public key "${text.slice(0, 60)}": ${faultOf(text)}`);
  return text;
}

/** Why a text is no key, for messages. */
export function faultOf(text: string): string {
  if (text === ZERO_KEY) return 'all of its bytes are zero';
  return text.length === 44 ? 'it is not the base64 of 32 bytes' : `it has ${text.length} characters, not 44`;
}
