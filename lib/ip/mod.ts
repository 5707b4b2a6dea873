// Addresses and CIDRs as branded canonical text: two are equal exactly when their strings are. Text becomes one only
// through parseAddress and parseCidr (ip-cidr judges it there); all algebra is on those values, and family is part of
// each: 0.0.0.0/0 never contains ::1.
// This module is pure.

export {
  addressAt,
  addressCidr,
  cidrOf,
  familyOf,
  firstAddress,
  lastAddress,
  mapPrefix,
  offsetOf,
  prefixOf,
} from './cidr.ts';
export { isAddress4, isAddress6, isCidr4, isCidr6, parseAddress, parseCidr } from './parse.ts';
export {
  compare,
  contains,
  firstOverlap,
  merge,
  nextFree,
  overlaps,
  sorted,
  split,
  subtract,
} from './sets.ts';
export type { Address, Address4, Address6, Cidr, Cidr4, Cidr6, Family } from './types.ts';
