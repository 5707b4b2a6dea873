// What the compiler knows of an address: its family, and that its text is canonical.
// This module is pure.

declare const brand: unique symbol;

export type Family = 4 | 6;
/** Dotted quad without leading zeros. */
export type Address4 = string & { readonly [brand]: 'address4' };
/** RFC 5952 text, never IPv4-mapped, never with a zone. */
export type Address6 = string & { readonly [brand]: 'address6' };
export type Address = Address4 | Address6;
/** `10.1.0.0/16`: host bits zero. */
export type Cidr4 = string & { readonly [brand]: 'cidr4' };
/** `fd10:1::/32`: host bits zero, RFC 5952 text. */
export type Cidr6 = string & { readonly [brand]: 'cidr6' };
export type Cidr = Cidr4 | Cidr6;
