// WireGuard keys: public ones are branded text, private ones do not print.

declare const brand: unique symbol;

/** Base64 of 32 bytes, as `wg` prints it. */
export type PublicKey = string & { readonly [brand]: 'public-key' };

/** A Curve25519 private key. */
export class PrivateKey {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Base64, for stdin of `wg` and key files only. */
  reveal(): string {
    return Buffer.from(this.#bytes).toString('base64');
  }
}
