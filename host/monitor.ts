// Notice of every change in the kernel that a plan may have to answer.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import {
  NEXTHOP_BASE,
  NEXTHOP_LAST,
  NFT_TABLE,
  ROUTE_PROTOCOL,
  RULE_FABRIC_NONE,
  RULE_VIA,
} from '#lib/constants';
import { isOurDevice, systemPath } from '#lib/linux';

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

/** Milliseconds until a monitor that ended (its socket overran, the program was replaced) is started again. */
const RESTART_MS = 1000;

type Classify = (line: string) => KernelChange | undefined;

/**
 * What is listened to. Of nftables only the end of tables, which is what `nft flush ruleset` leaves: others change rules
 * all day, and damage within our table is found by the next look.
 */
const MONITORS: readonly (readonly [argv: readonly string[], classify: Classify])[] = [
  [['ip', '-oneline', 'monitor', 'link', 'address', 'route', 'nexthop', 'rule'], kernelChange],
  [
    ['nft', 'monitor', 'destroy', 'tables'],
    (line) => (line === `delete table inet ${NFT_TABLE}` ? 'damage' : undefined),
  ],
];

/** Watches until the signal aborts. A gap in the watching counts as a change. */
export async function watchKernel(options: MonitorOptions): Promise<void> {
  const { signal, changed } = options;
  const watch = async ([argv, classify]: (typeof MONITORS)[number]): Promise<void> => {
    while (!signal.aborted) {
      await watchOnce(argv, classify, options);
      await delay(RESTART_MS, undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) changed('facts');
    }
  };
  await Promise.all(MONITORS.map(watch));
}

/** The kernel ends the child with us, however we end: one that has nothing to say would never notice. */
function watchOnce(
  argv: readonly string[],
  classify: Classify,
  { signal, changed }: MonitorOptions,
): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...argv], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, PATH: systemPath(), LC_ALL: 'C' },
    });
    const stop = (): void => void child.kill();
    signal.addEventListener('abort', stop, { once: true });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const what = classify(line);
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
