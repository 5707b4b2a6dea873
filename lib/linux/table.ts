// Tables of nftables (family inet) beside the planned one.

import { parseTable } from './parse-nft.ts';
import { isNoTable } from './read.ts';
import type { Run } from './run.ts';

/** What the table's sets hold now, by set, without what has expired; undefined where there is no such table. */
export async function readElements(
  run: Run,
  table: string,
): Promise<Readonly<Record<string, readonly string[]>> | undefined> {
  try {
    return parseTable(await run({ argv: ['nft', '-j', 'list', 'table', 'inet', table] }), table).sets;
  } catch (error) {
    if (isNoTable(error)) return undefined;
    throw error;
  }
}

/** Takes the table and all that it holds away; nothing happens where there is none. */
export async function removeTable(run: Run, table: string, signal?: AbortSignal): Promise<void> {
  try {
    await run({ argv: ['nft', 'delete', 'table', 'inet', table], ...(signal && { signal }) });
  } catch (error) {
    if (!isNoTable(error)) throw error;
  }
}
