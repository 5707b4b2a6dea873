// The table of a drill in this host's kernel: made where none goes on, taken away whatever happens.

import { DRILL_TABLE } from '#lib/constants';
import { messageOf } from '#lib/errors';
import { CommandError, readElements, removeTable } from '#lib/linux';
import type { Run } from '#lib/linux';
import { titleOf } from './drill-target.ts';
import type { Target } from './drill-target.ts';
import { CliError, EXIT } from './exit.ts';

/** Milliseconds that making the failure, and ending it, may take; no interrupt cuts that short. */
const TABLE_MS = 10_000;

/**
 * Takes away what a drill left that was killed: a table that is empty. Long before the own one is made, so that one which
 * another drill makes meanwhile is not taken for a leftover.
 *
 * @throws {CliError} while another drill goes on
 */
export async function clearLeftover(run: Run): Promise<void> {
  const held = await readElements(run, DRILL_TABLE);
  if (held === undefined) return;
  if (Object.values(held).some((elements) => elements.length > 0)) throw goesOn();
  await removeTable(run, DRILL_TABLE);
}

/**
 * Puts the failure in force. The kernel decides between two that come at once.
 *
 * @throws {CliError} while another drill goes on
 */
export async function putTable(run: Run, table: string): Promise<void> {
  try {
    await run({ argv: ['nft', '-f', '-'], input: table, signal: AbortSignal.timeout(TABLE_MS) });
  } catch (cause) {
    throw cause instanceof CommandError && cause.stderr.includes('File exists') ? goesOn(cause) : cause;
  }
}

/**
 * Ends the failure.
 *
 * @param expires milliseconds since 1970 at which the kernel ends it
 * @throws {CliError} where it goes on until then
 */
export async function takeTable(run: Run, target: Target, expires: number): Promise<void> {
  try {
    await removeTable(run, DRILL_TABLE, AbortSignal.timeout(TABLE_MS));
  } catch (cause) {
    // nft underlines what it means in the lines that follow.
    const [reason = ''] = messageOf(cause)
      .replace(/^Cannot run ".*?": /, '')
      .split('\n');
    throw new CliError(
      EXIT.failed,
      `Cannot end the drill of ${titleOf(target)}: ${reason}. It ends by itself at ${new Date(expires).toISOString()}; now: nft delete table inet ${DRILL_TABLE}`,
      { cause },
    );
  }
}

function goesOn(cause?: unknown): CliError {
  return new CliError(
    EXIT.refused,
    `Cannot drill on this host: a drill goes on here, or was killed and has not ended yet. See: nft list table inet ${DRILL_TABLE}`,
    { cause },
  );
}
