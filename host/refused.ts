// Own addresses that probes cannot be sent from, as an operator is told of them.
// This module is pure.

import { condition } from '#lib/conditions';
import type { Condition } from '#lib/conditions';
import { PROBE_PORT } from '#lib/constants';

/** `refused`: address → why. */
export function refusedConditions(refused: ReadonlyMap<string, string>): readonly Condition[] {
  return [...refused].map(([address, reason]) =>
    condition('IST_PROBE_REFUSED', address, { address, port: `${PROBE_PORT}`, reason }),
  );
}
