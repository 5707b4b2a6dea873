// What wakes a gateway: its site, the clusterset, and the clock.

import { setTimeout as delay } from 'node:timers/promises';
import type { Member } from '#broker';
import type { DaemonParts, DaemonTools, Flags } from '#host';
import type { Run } from '#lib/linux';
import { watchSite } from '#site';
import { reportBlocked } from './blocked.ts';

export interface SourcesOptions {
  readonly tools: DaemonTools;
  readonly flags: Pick<Flags, 'site' | 'node'>;
  readonly run: Run;
  readonly member: Member;
  /** Called once a second. */
  readonly tick: () => void;
  /** Called once a second, but never while it still looks. */
  readonly look: () => Promise<void>;
  /** Clusters whose gateways say that this one does not forward. */
  readonly blocked: () => ReadonlySet<string>;
}

export function gatewaySources(options: SourcesOptions): DaemonParts['sources'] {
  const { tools, flags, run, member, tick, look, blocked } = options;
  const { signal, wake, log } = tools;
  return [
    async () => {
      for await (const _ of watchSite(flags.site, { signal })) wake();
    },
    async () => {
      for await (const _ of member.changes()) wake();
    },
    async () => {
      while (!signal.aborted) {
        // Where it cannot be told, what was busy counts as busy.
        await look().catch((error: unknown) => log.debug({ error }, 'Traffic cannot be read'));
        await delay(1000, undefined, { signal }).catch(() => undefined);
      }
    },
    async () => {
      while (!signal.aborted) {
        tick();
        await delay(1000, undefined, { signal }).catch(() => undefined);
      }
    },
    () => reportBlocked({ ...tools, run, node: flags.node, clusters: blocked }),
  ];
}
