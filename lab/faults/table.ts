// Puts a fault's rules into a place of the lab, in a table of their own, so that undoing is one command.

import { createHash } from 'node:crypto';
import { CommandError } from '#lib/linux';
import type { Lab } from '../lab.ts';
import { faultOf, type Fault } from './fault.ts';
import { FAULT_TABLE, packetsCounted } from './rules.ts';

export interface TableFault {
  readonly what: string;
  readonly place: string;
  readonly family: 'inet' | 'bridge';
  /** Makes the ruleset of a table that is called so. */
  readonly rules: (table: string) => string;
}

/** @throws {Error} if the very same fault is in force already */
export async function tableFault(lab: Lab, { what, place, family, rules }: TableFault): Promise<Fault> {
  const table = `${FAULT_TABLE}${createHash('sha256').update(rules('')).digest('hex').slice(0, 10)}`;
  const { run } = lab.place(place);
  try {
    await run({ argv: ['nft', '-f', '-'], input: rules(table) });
  } catch (cause) {
    const isThere = cause instanceof CommandError && cause.stderr.includes('File exists');
    throw isThere ? new Error(`Cannot break "${what}": it is broken already`, { cause }) : cause;
  }
  const nft = (verb: 'list' | 'delete'): Promise<string> =>
    run({ argv: ['nft', verb, 'table', family, table] });
  return faultOf(
    what,
    async () => void (await nft('delete')),
    async () => packetsCounted(await nft('list')),
  );
}
