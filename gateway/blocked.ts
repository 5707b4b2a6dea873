// A gateway that does not forward: who says so, and what on its host forbids it.

import { setTimeout as delay } from 'node:timers/promises';
import type { DaemonTools } from '#host';
import { condition } from '#lib/conditions';
import { messageOf } from '#lib/errors';
import { whatForbidsForwarding } from '#lib/linux';
import type { Run } from '#lib/linux';

export interface BlockedOptions extends Pick<DaemonTools, 'conditions' | 'signal'> {
  readonly run: Run;
  readonly node: string;
  /** Clusters whose gateways say so now. */
  readonly clusters: () => ReadonlySet<string>;
  /** Milliseconds between two looks. @default 1000 */
  readonly periodMs?: number;
}

/** Causes that are named; more of them would not be read. */
const NAMED = 3;

/** Reports it for as long as it is so. A firewall is read only then, and once each time: it may be large. */
export async function reportBlocked(options: BlockedOptions): Promise<void> {
  const { run, node, clusters, conditions, signal, periodMs = 1000 } = options;
  let reason: string | undefined;
  while (!signal.aborted) {
    const names = [...clusters()].map((name) => `"${name}"`).join(', ');
    if (names === '') reason = undefined;
    else reason ??= await reasonOn(run);
    conditions.set(
      'blocked',
      reason === undefined ? [] : [condition('IST_GATEWAY_BLOCKED', node, { clusters: names, reason })],
    );
    await delay(periodMs, undefined, { signal }).catch(() => undefined);
  }
}

async function reasonOn(run: Run): Promise<string> {
  try {
    const found = await whatForbidsForwarding(run);
    if (found.length === 0) return 'nothing on this host shows why';
    const more = found.length > NAMED ? `, and ${found.length - NAMED} more` : '';
    return `look at ${found.slice(0, NAMED).join(', at ')}${more}`;
  } catch (error) {
    return `why could not be read: ${messageOf(error)}`;
  }
}
