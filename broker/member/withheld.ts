// What owners say they have published and the broker has not shown.

import { compareCounters } from '../trust/record.ts';
import type { Ledger } from '../trust/ledger.ts';
import { MANIFEST_SLOT } from '../records/manifest.ts';

/** Subjects whose record is older than the owner's manifest says, or missing. */
export function withheldSubjects(ledger: Ledger): string[] {
  return [...ledger.members.values()].flatMap(({ cluster, account }) => {
    const content = ledger.record(cluster, MANIFEST_SLOT)?.content;
    if (content?.kind !== 'manifest') return [];
    return content.manifest.slots
      .filter((entry) => {
        const held = ledger.record(cluster, entry.slot);
        return held === undefined || compareCounters(held, entry) < 0;
      })
      .map(({ slot }) => `mc.put.${account}.${slot}`);
  });
}
