// Whether two collections hold the same. The one invariant: neither is changed, and their order counts only where they have one.
// This module is pure.

/** In the same order; what is undefined is like nothing. @param isSame of two elements; by identity unless told */
export function isSameList<T>(
  a: readonly T[],
  b: readonly T[],
  isSame: (a: T, b: T) => boolean = Object.is,
): boolean {
  const isIn = (one: T, other: T | undefined): boolean => other !== undefined && isSame(one, other);
  return a.length === b.length && a.every((one, at) => isIn(one, b[at]));
}

/** In any order. */
export function isSameSet<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a.size === b.size && a.isSubsetOf(b);
}
