// Finds the programs that a command needs, installing what is missing.

/** Placeholder of the table below. */
export async function ensurePrograms(need: string): Promise<void> {
  await Promise.resolve(need);
}
