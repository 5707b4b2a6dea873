// What was thrown, in words and by the system's code. The one invariant: anything can be thrown, and all of it can be told.
// This module is pure.

/** What it says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `ENOENT` and the like, where the system has refused something. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
