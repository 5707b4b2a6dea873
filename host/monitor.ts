// Notice of every change in the kernel that a plan may have to answer.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import {
  DEVICE_PREFIX,
  NEXTHOP_BASE,
  NEXTHOP_LAST,
  ROUTE_PROTOCOL,
  RULE_FABRIC_NONE,
  RULE_VIA,
} from '#lib/constants';

export interface MonitorOptions {
  readonly signal: AbortSignal;
  /** Called for each change that matters; often, and also for changes of our own. */
  readonly changed: () => void;
  /** Prefix that enters another network namespace. @default none */
  readonly enter?: readonly string[];
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
    changed();
  }
}

function watchOnce({ signal, changed, enter = [] }: MonitorOptions): Promise<void> {
  const [program, ...args] = [...enter, 'ip', '-oneline', 'monitor', 'link', 'address', 'route', 'nexthop', 'rule'];
  return new Promise((resolve) => {
    const child = spawn(program ?? 'ip', args, {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, LC_ALL: 'C' },
    });
    const stop = (): void => void child.kill();
    signal.addEventListener('abort', stop, { once: true });
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (matters(line)) changed();
    });
    const end = (): void => {
      signal.removeEventListener('abort', stop);
      resolve();
    };
    child.on('error', end);
    child.on('close', end);
  });
}

const NEXTHOP = /\bid (\d{7})\b/;
const RULE = /^(Deleted )?(\d+):\t/;

/**
 * Whether a line of `ip -oneline monitor` may call for a pass: something of ours went or changed, any link or address
 * changed. What merely appeared with our mark is our own doing, and says nothing new.
 */
export function matters(line: string): boolean {
  const went = line.startsWith('Deleted ');
  const text = went ? line.slice('Deleted '.length) : line;
  if (/^\d+: /.test(text)) return linkMatters(text, went);
  if (!went) return false;
  const nexthop = Number(NEXTHOP.exec(text)?.[1] ?? 0);
  if (nexthop >= NEXTHOP_BASE && nexthop <= NEXTHOP_LAST) return true;
  const priority = Number(RULE.exec(line)?.[2] ?? 0);
  if (priority >= RULE_VIA && priority <= RULE_FABRIC_NONE) return true;
  return text.includes(` proto ${ROUTE_PROTOCOL} `);
}

/** `7: eth0: <…>` is a link, `7: eth0    inet …` an address: either may change what the plan starts from. */
function linkMatters(text: string, went: boolean): boolean {
  const ours = text.split(' ')[1]?.startsWith(DEVICE_PREFIX) === true;
  return went || !ours || /state (DOWN|LOWERLAYERDOWN)/.test(text);
}
