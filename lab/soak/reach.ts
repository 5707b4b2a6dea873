// Whether exactly that is reached which the topology allows.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../lab.ts';
import { measureMatrix, type MatrixPair } from '../matrix.ts';
import { verdict, type Verdict } from './allowed.ts';
import type { SoakFault } from './faults.ts';
import type { SoakTopology } from './topology.ts';

/** For what has to come about by itself, on a machine that has other things to do. */
export const PATIENCE_MS = 30_000;
/** After a step, for what a fault may cost at most where a machine is busy: what is longer in coming does not come by itself. */
export const STEP_PATIENCE_MS = 10_000;
const LOOK_MS = 200;
/** One lost first packet is repeated by TCP after a second. */
const TIMEOUT_MS = 2500;
/** So often in a row: what is reached now and then is not reached. */
const STEADY = 2;

export interface Reach {
  readonly reached: number;
  readonly refused: number;
}

export interface ReachOptions {
  readonly signal: AbortSignal;
  readonly patienceMs: number;
}

/**
 * Waits until every pod reaches exactly what it may, in both families and by its own address, and is refused all else.
 * Pods of one site reach each other whatever happens.
 * @throws {Error} that names what is not so in the end
 */
export async function expectReach(
  lab: Lab,
  expected: { readonly topology: SoakTopology; readonly faults: readonly SoakFault[] },
  { signal, patienceMs }: ReachOptions,
): Promise<Reach> {
  const verdicts = verdictsOf(expected.topology, expected.faults);
  const until = performance.now() + patienceMs;
  for (let steady = 0; ; await sleep(LOOK_MS, undefined, { signal })) {
    const pairs = await measureMatrix(lab, { within: true, timeoutMs: TIMEOUT_MS });
    const wrong = pairs.flatMap((pair) => amiss(pair, verdicts(pair)));
    if (pairs.length === 0) throw new Error('Cannot soak a lab without pods');
    steady = wrong.length === 0 ? steady + 1 : 0;
    if (steady === STEADY) return count(pairs);
    if (wrong.length > 0 && performance.now() > until) throw new Error(summary(wrong));
  }
}

function verdictsOf(
  topology: SoakTopology,
  faults: readonly SoakFault[],
): (pair: Pick<MatrixPair, 'from' | 'to'>) => Verdict {
  return ({ from, to }) => {
    const own = topology.sites.find(({ name }) => name === from.site);
    const far = topology.sites.find(({ name }) => name === to.site);
    if (own === undefined || far === undefined) return 'unclear';
    return own === far ? 'reached' : verdict(topology, [own, far], faults);
  };
}

function amiss(pair: MatrixPair, wanted: Verdict): string[] {
  const { from, to, family, reached, kept, seenAs, error = '' } = pair;
  const isSo = wanted === 'reached' ? kept : wanted === 'refused' && !reached && error !== 'timeout';
  return isSo ? [] : [`${from.name} → ${to.name} ${family}: ${seenAs ?? error}, should be ${wanted}`];
}

function count(pairs: readonly MatrixPair[]): Reach {
  const reached = pairs.filter((pair) => pair.reached).length;
  return { reached, refused: pairs.length - reached };
}

function summary(wrong: readonly string[]): string {
  const rest = wrong.length > 4 ? ` and ${wrong.length - 4} more` : '';
  return `${wrong.slice(0, 4).join('; ')}${rest}`;
}
