// Notice of every change in the kernel that a plan may have to answer.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import process from 'node:process';
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
export type KernelChange = 'facts' | 'damage' | 'ours' | LostNexthop;

/** A nexthop or a group of ours went, by its identifier, or a route that led by it: damage only to those who want it still. */
export interface LostNexthop {
  readonly nexthop: number;
}

export interface MonitorOptions {
  readonly signal: AbortSignal;
  /** Called for each change that may matter; often, and for our own as well. */
  readonly changed: (what: KernelChange) => void;
}

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

/** The watches, each to be run until the signal aborts, and again where it ends before: the gap counts as a change. */
export function kernelWatches(options: MonitorOptions): (() => Promise<void>)[] {
  return MONITORS.map(
    ([argv, classify]) =>
      () =>
        watch(argv, classify, options),
  );
}

/**
 * The kernel ends the child with us, however we end: one that has nothing to say would never notice.
 * @throws {Error} when the program ends and nobody has asked it to: its socket overran, or it cannot run here
 */
function watch(
  argv: readonly string[],
  classify: Classify,
  { signal, changed }: MonitorOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return resolve();
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: systemPath(), LC_ALL: 'C' },
    });
    child.on('spawn', () => changed('facts'));
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-500);
    });
    const stop = (): void => void child.kill();
    signal.addEventListener('abort', stop, { once: true });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const what = classify(line);
      if (what !== undefined) changed(what);
    });
    const end = (cause?: unknown): void => {
      signal.removeEventListener('abort', stop);
      if (signal.aborted) return resolve();
      reject(
        new Error(`Cannot watch the kernel by "${argv.join(' ')}": it ended. ${said.trim()}`, { cause }),
      );
    };
    child.on('error', end);
    child.on('close', () => end());
  });
}

const NEXTHOP = /^id (\d{7})\b/;
const LED_BY = / nhid (\d+) /;
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
  if (/ state (DOWN|LOWERLAYERDOWN) /.test(text)) return 'damage';
  return went ? loss(text) : 'ours';
}

function loss(text: string): KernelChange {
  const nexthop = NEXTHOP.exec(text)?.[1] ?? LED_BY.exec(text)?.[1];
  return nexthop === undefined ? 'damage' : { nexthop: Number(nexthop) };
}

function isOurs(text: string): boolean {
  const nexthop = Number(NEXTHOP.exec(text)?.[1] ?? 0);
  if (nexthop >= NEXTHOP_BASE && nexthop <= NEXTHOP_LAST) return true;
  const priority = Number(RULE.exec(text)?.[1] ?? 0);
  if (priority >= RULE_VIA && priority <= RULE_FABRIC_NONE) return true;
  return text.includes(` proto ${ROUTE_PROTOCOL} `);
}
