// Addresses and CIDRs as branded canonical text: two are equal exactly when their strings are.
// This module is pure.

export type { Address, Address4, Address6, Cidr, Cidr4, Cidr6, Family } from './types.ts';
