// Reads the named counters of an nftables table.

import type { Counter } from './parse-nft.ts';
import { parseCounters } from './parse-nft.ts';
import { isNoTable } from './read.ts';
import type { Run } from './run.ts';

/** Counts by name since the table was last replaced; none where there is no such table (of family inet). */
export async function readCounters(run: Run, table: string): Promise<Readonly<Record<string, Counter>>> {
  try {
    return parseCounters(await run({ argv: ['nft', '-j', 'list', 'counters', 'table', 'inet', table] }));
  } catch (error) {
    if (isNoTable(error)) return {};
    throw error;
  }
}
