// Notice of every change in the kernel that a plan may have to answer.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { NEXTHOP_BASE, NEXTHOP_LAST, ROUTE_PROTOCOL, RULE_FABRIC_NONE, RULE_VIA } from '#lib/constants';
import { isOurDevice } from '#lib/linux';

/**
 * `facts`: a link or address of somebody else changed, which plans start from. `damage`: something of ours went.
 * `ours`: something of ours came or changed, most often by ourselves.
 */
export type KernelChange = 'facts' | 'damage' | 'ours';

export interface MonitorOptions {
  readonly signal: AbortSignal;
  /** Called for each change that may matter; often, and for our own as well. */
  readonly changed: (what: KernelChange) => void;
}

/** Milliseconds until a monitor that ended (its socket overran, `ip` was replaced) is started again. */
const RESTART_MS = 1000;

/** Watches until the signal aborts. A gap in the watching counts as a change. */
export async function watchKernel(options: MonitorOptions): Promise<void> {
  const { signal, changed } = options;
  while (!signal.aborted) {
    await watchOnce(options);
    if (signal.aborted) return;
    await delay(RESTART_MS, undefined, { signal }).catch(() => undefined);
    changed('facts');
  }
}

function watchOnce({ signal, changed }: MonitorOptions): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn('ip', ['-oneline', 'monitor', 'link', 'address', 'route', 'nexthop', 'rule'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, LC_ALL: 'C' },
    });
    const stop = (): void => void child.kill();
    signal.addEventListener('abort', stop, { once: true });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const what = kernelChange(line);
      if (what !== undefined) changed(what);
    });
    const end = (): void => {
      signal.removeEventListener('abort', stop);
      resolve();
    };
    child.on('error', end);
    child.on('close', end);
  });
}

const NEXTHOP = /^id (\d{7})\b/;
const RULE = /^(\d+):\t/;
const LINK = /^\d+: ([^ @:]+)/;

/** What a line of `ip -oneline monitor` says; undefined where it is nothing to us. */
export function kernelChange(line: string): KernelChange | undefined {
  const went = line.startsWith('Deleted ');
  const text = went ? line.slice('Deleted '.length) : line;
  const device = LINK.exec(text)?.[1];
  if (device !== undefined && !isOurDevice(device)) return 'facts';
  if (device === undefined && !isOurs(text)) return undefined;
  // A link that goes down takes its nexthop objects and routes with it, and says nothing of them.
  return went || / state (DOWN|LOWERLAYERDOWN) /.test(text) ? 'damage' : 'ours';
}

function isOurs(text: string): boolean {
  const nexthop = Number(NEXTHOP.exec(text)?.[1] ?? 0);
  if (nexthop >= NEXTHOP_BASE && nexthop <= NEXTHOP_LAST) return true;
  const priority = Number(RULE.exec(text)?.[1] ?? 0);
  if (priority >= RULE_VIA && priority <= RULE_FABRIC_NONE) return true;
  return text.includes(` proto ${ROUTE_PROTOCOL} `);
}
