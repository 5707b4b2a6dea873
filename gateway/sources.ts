// What wakes a gateway: its site, the clusterset, and the clock.

import { setTimeout as delay } from 'node:timers/promises';
import type { Member } from '#broker';
import type { DaemonParts, DaemonTools } from '#host';
import { watchSite } from '#site';

export interface SourcesOptions {
  readonly tools: DaemonTools;
  /** The site directory. */
  readonly site: string;
  readonly member: Member;
  /** Called once a second. */
  readonly tick: () => void;
  /** Called once a second, but never while it still looks. */
  readonly look: () => Promise<void>;
}

export function gatewaySources({ tools, site, member, tick, look }: SourcesOptions): DaemonParts['sources'] {
  const { signal, wake, log } = tools;
  return [
    async () => {
      for await (const _ of watchSite(site, { signal })) wake();
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
  ];
}
