// One gateway's detector with a thousand clusters: says what it costs while all answer, and while half of them are silent. Runs in a namespace of its own.

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Paths } from '#host';
import type { PathReport, TransitAsk } from '#lib/health';
import { behind, gatewaysBehind, pathsOf, SILENCED, SILENCED_PATHS } from './detector-ends.ts';

const run = promisify(execFile);
const PATIENCE_MS = 90_000;
/** After the last change, until pace and loss are what they stay. */
const REST_MS = 5000;
const MEASURED_MS = Number(process.argv[2] ?? 20_000);

let kicks = 0;
using paths = new Paths({
  changed: () => {},
  kick: (ids) => {
    kicks += ids.length;
  },
  speak: () => ({ impaired: false, draining: false, blocked: false }),
  through,
});

function through(ask: TransitAsk): { path: string; to: string } | undefined {
  return paths.isSound(ask.gateway) ? { path: ask.gateway, to: behind(ask) } : undefined;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; !holds(); await sleep(200)) {
    if (Date.now() > end) throw new Error(`Cannot measure the detector: ${what} does not come true`);
  }
}

/** Datagrams that both ends have sent. */
async function sent(): Promise<number> {
  return Number(/^Udp6OutDatagrams\s+(\d+)$/m.exec(await readFile('/proc/net/snmp6', 'utf8'))?.[1]);
}

async function measure(): Promise<object> {
  await sleep(REST_MS);
  const before = { at: performance.now(), sent: await sent(), cpu: process.cpuUsage(), kicks };
  await sleep(MEASURED_MS);
  const seconds = (performance.now() - before.at) / 1000;
  const { user, system } = process.cpuUsage(before.cpu);
  const rate = (count: number): number => count / seconds;
  return {
    percent: 100 * rate((user + system) / 1e6),
    datagrams: rate((await sent()) - before.sent),
    kicks: rate(kicks - before.kicks),
  };
}

paths.hold({ paths: pathsOf('here'), gateways: gatewaysBehind() });
let reports: readonly PathReport[] = [];
// What a daemon does with it once a second.
const tick = setInterval(() => {
  paths.traffic({ neighbours: new Set(), clusters: new Set() });
  reports = [...paths.reports()];
}, 1000);
await until(
  'every path up',
  () => reports.length > 0 && reports.every(({ state, isSizing }) => state === 'up' && !isSizing),
);
const idle = await measure();
const rule = ['input', 'ip6', 'saddr', SILENCED, 'drop'];
await run('nft', ['add', 'table', 'inet', 'bench']);
await run('nft', ['add', 'chain', 'inet', 'bench', 'input', '{ type filter hook input priority 0; }']);
await run('nft', ['add', 'rule', 'inet', 'bench', ...rule]);
await run('nft', ['add', 'rule', 'inet', 'bench', ...rule.with(2, 'daddr')]);
await until('half of them silent', () => SILENCED_PATHS.every((id) => !paths.isUp(id)));
const silent = await measure();
clearInterval(tick);
process.stdout.write(`${JSON.stringify({ idle, silent })}\n`);
