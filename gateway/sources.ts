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
}

export function gatewaySources({ tools, site, member, tick }: SourcesOptions): DaemonParts['sources'] {
  const { signal, wake } = tools;
  return [
    async () => {
      for await (const _ of watchSite(site, { signal })) wake();
    },
    async () => {
      for await (const _ of member.changes()) wake();
    },
    async () => {
      while (!signal.aborted) {
        tick();
        await delay(1000, undefined, { signal }).catch(() => undefined);
      }
    },
  ];
}
