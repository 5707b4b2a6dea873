// Counters of the own slots: on disk before anything that carries them is sent.

import * as v from 'valibot';
import { readIfThere, replaceFile } from '#lib/durable';
import { compareCounters } from '../trust/record.ts';
import { integer } from '../trust/header.ts';
import type { Counter } from '../trust/record.ts';
import { Turns } from './turns.ts';

const WHOLE = integer(0, Number.MAX_SAFE_INTEGER);
const SCHEMA = v.record(v.string(), v.object({ epoch: WHOLE, version: WHOLE }));

export interface Counters {
  /**
   * The next counter of a slot: above everything this host has ever sent there, and above what was seen of it. With
   * nothing on disk the epoch is begun anew from the clock; so it is when something higher was seen, because a disk
   * that went back to an old copy may have forgotten more than was seen. Resolves when it is on disk.
   * @throws {Error} when the disk refuses: nothing may be sent then
   */
  next(slot: string, seen: Counter | undefined): Promise<Counter>;
  /** The same for a slot that several hosts write in turn: the next version after the highest of both. */
  nextShared(slot: string, seen: Counter | undefined): Promise<Counter>;
}

/** Opens the counters; a file that makes no sense is told of and counts as lost, which only costs a new epoch. */
export async function openCounters(
  path: string,
  now: () => Date,
  damaged: (error: unknown) => void = () => {},
): Promise<Counters> {
  const held = new Map<string, Counter>(Object.entries(await load(path, damaged)));
  const begin = (seen?: Counter): Counter => ({
    epoch: Math.max(now().getTime(), (seen?.epoch ?? -1) + 1),
    version: 1,
  });
  // Reading, writing and remembering a counter are one step: two callers must never get the same one.
  const turns = new Turns();
  const keep = (slot: string, follow: (own: Counter | undefined) => Counter): Promise<Counter> =>
    turns.take(async () => {
      const counter = follow(held.get(slot));
      const all = { ...Object.fromEntries(held), [slot]: counter };
      await replaceFile(path, `${JSON.stringify(all)}\n`, 0o600);
      held.set(slot, counter);
      return counter;
    });
  return {
    next: (slot, seen) =>
      keep(slot, (own) => {
        const isBehind = own !== undefined && seen !== undefined && compareCounters(seen, own) > 0;
        return own === undefined || isBehind ? begin(seen) : after(own);
      }),
    nextShared: (slot, seen) =>
      keep(slot, (own) => {
        if (own === undefined || seen === undefined) return after(own ?? seen ?? begin());
        return after(compareCounters(seen, own) > 0 ? seen : own);
      }),
  };
}

function after({ epoch, version }: Counter): Counter {
  return { epoch, version: version + 1 };
}

async function load(
  path: string,
  damaged: (error: unknown) => void,
): Promise<Readonly<Record<string, Counter>>> {
  const bytes = await readIfThere(path);
  try {
    return bytes === undefined ? {} : v.parse(SCHEMA, JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    damaged(error);
    return {};
  }
}
