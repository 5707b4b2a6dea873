// What keeps a host from forwarding, as far as it shows: switches that are off, and other programs' firewalls.

import { DRILL_TABLE, NFT_TABLE } from '#lib/constants';
import type { Run } from './run.ts';

const SWITCHES = ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'] as const;
const OURS: ReadonlySet<string> = new Set([NFT_TABLE, DRILL_TABLE].map((name) => `inet ${name}`));

/**
 * Each as one would look for it: `net.ipv4.ip_forward = 0`, `chain FORWARD of table ip filter: policy drop`. Rules that have
 * been counted and never met are left out; whether one of the others is to blame, only who wrote it knows.
 *
 * @throws {CommandError} when the ruleset cannot be read
 */
export async function whatForbidsForwarding(run: Run): Promise<readonly string[]> {
  const ruleset = await run({ argv: ['nft', '--terse', 'list', 'ruleset'] });
  const off = await Promise.all(SWITCHES.map((name) => isOff(run, name)));
  return [
    ...SWITCHES.filter((_, at) => off[at] === true).map((name) => `${name} = 0`),
    ...forbiddingIn(ruleset),
  ];
}

/** A family that the kernel has not got has no switch. */
async function isOff(run: Run, name: string): Promise<boolean> {
  const value = await run({ argv: ['sysctl', '-n', name] }).catch(() => '');
  return value.trim() === '0';
}

interface Chain {
  readonly table: string;
  readonly name: string;
  readonly lines: string[];
}

/** Rules and policies of a listing of `nft` that drop or reject some of what is forwarded; none of our own tables. */
export function forbiddingIn(ruleset: string): string[] {
  const chains = chainsIn(ruleset).filter(({ table }) => !OURS.has(table));
  const byName = new Map(chains.map((chain) => [`${chain.table} ${chain.name}`, chain]));
  const met = new Set(chains.filter(({ lines }) => lines.some((line) => HOOK.test(line))));
  // Grows while it is walked: a set gives what is added last.
  for (const { table, lines } of met) {
    for (const [, to] of lines.join('\n').matchAll(/\b(?:jump|goto) ([\w-]+)/g)) {
      const chain = byName.get(`${table} ${to}`);
      if (chain !== undefined) met.add(chain);
    }
  }
  return [...met].flatMap(({ table, name, lines }) =>
    lines
      .flatMap((line) => forbiddingOf(line) ?? [])
      .map((what) => `chain ${name} of table ${table}: ${what}`),
  );
}

const HOOK = /^type filter hook forward /;

/** What a line of a chain forbids. */
function forbiddingOf(line: string): string | undefined {
  if (HOOK.test(line)) return /policy drop/.exec(line)?.[0];
  const rule = line.replace(/ comment ".*"/, '');
  if (/\bcounter packets 0 /.test(rule)) return undefined;
  return /\b(?:drop|reject)\b/.test(rule) ? rule : undefined;
}

/** `table FAMILY NAME {`, `chain NAME {` and the lines in between, however deep. */
function chainsIn(ruleset: string): Chain[] {
  const chains: Chain[] = [];
  let table = '';
  let chain: Chain | undefined;
  for (const text of ruleset.split('\n')) {
    const line = text.trim();
    table = /^table (\S+ \S+) \{/.exec(line)?.[1] ?? table;
    const name = /^chain (\S+) \{/.exec(line)?.[1];
    if (name !== undefined) chains.push((chain = { table, name, lines: [] }));
    else if (text === '\t}') chain = undefined;
    else chain?.lines.push(line);
  }
  return chains;
}
