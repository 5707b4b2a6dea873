// Whether two collections hold the same. The one invariant: neither is changed, and their order counts only where they have one.
// This module is pure.

/** In the same order. @param isSame of two elements; by identity unless told */
export function isSameList<T extends NonNullable<unknown>>(
  a: readonly T[],
  b: readonly T[],
  isSame: (a: T, b: T) => boolean = Object.is,
): boolean {
  if (a.length !== b.length) return false;
  for (const [at, other] of b.entries()) {
    const one = a[at];
    if (one === undefined || !isSame(one, other)) return false;
  }
  return true;
}

/** In any order. */
export function isSameSet<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a.size === b.size && a.isSubsetOf(b);
}
