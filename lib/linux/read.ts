// Reads what a kernel holds of ours: six processes side by side, whatever the number of clusters.

import { NFT_TABLE, ROUTE_PROTOCOL } from '#lib/constants';
import type { Family } from '#lib/ip';
import type { Item } from './json.ts';
import { numberOf, parseItems } from './json.ts';
import type { HeldTable, KernelState } from './kernel-state.ts';
import { OUR_TABLES } from './own.ts';
import { parseAddresses, parseForwarding, parseLinks, parseNeighbours, parseNexthops } from './parse-ip.ts';
import { parseTable } from './parse-nft.ts';
import { parseRoutes, parseRules } from './parse-route.ts';
import { parseSysctls, slashKey } from './parse-sysctl.ts';
import { CommandError } from './run.ts';
import type { Run } from './run.ts';

export interface ReadOptions {
  /** Keys of sysctls to read. */
  readonly sysctls?: readonly string[];
  readonly signal?: AbortSignal;
}

/**
 * Protocols of routes made by hand (boot, static) that are looked for in our tables. Not all routes of all tables:
 * a host may hold a million of other people's.
 */
const HAND_MADE = [3, 4];

/** Rejects with CommandError, or SyntaxError where a program says what is not understood. */
export async function readState(run: Run, options: ReadOptions = {}): Promise<KernelState> {
  const { signal } = options;
  const bounded: Run = (command) => run(signal === undefined ? command : { ...command, signal });
  const [plain, four, six, forwarding, nftables, sysctls] = await Promise.all([
    list(bounded, ['-d'], ['addr show', 'neigh show nud permanent', 'nexthop show']),
    list(bounded, ['-4'], ['rule show', ...routeListings()]),
    list(bounded, ['-6'], ['rule show', ...routeListings(), 'nexthop show']),
    bounded({ argv: ['bridge', '-j', 'fdb', 'show'] }),
    readTable(bounded),
    readSysctls(bounded, options.sysctls ?? []),
  ]);
  const [devices = [], neighbours = [], nexthops = []] = plain;
  const nexthops6 = new Set((six.at(-1) ?? []).flatMap((item) => numberOf(item, 'id') ?? []));
  return {
    links: parseLinks(devices),
    addresses: parseAddresses(devices),
    neighbours: parseNeighbours(neighbours),
    forwarding: parseForwarding(parseItems(forwarding, 'bridge fdb show')),
    ...parseNexthops(nexthops, nexthops6),
    routes: [...routesOf(four, 4), ...routesOf(six, 6)],
    rules: [...parseRules(four[0] ?? [], 4), ...parseRules(six[0] ?? [], 6)],
    sysctls,
    nftables,
  };
}

function routeListings(): string[] {
  const strangers = OUR_TABLES.flatMap((table) =>
    HAND_MADE.map((protocol) => `route show table ${table} proto ${protocol}`),
  );
  return [`route show table all proto ${ROUTE_PROTOCOL}`, ...strangers];
}

/** In the order of {@link routeListings}, after the rules. */
function routesOf(listed: readonly (readonly Item[])[], family: Family): KernelState['routes'] {
  const ours = parseRoutes(listed[1] ?? [], { family, protocol: ROUTE_PROTOCOL });
  const strangers = OUR_TABLES.flatMap((table, at) =>
    HAND_MADE.flatMap((protocol, which) =>
      parseRoutes(listed[2 + at * HAND_MADE.length + which] ?? [], { family, protocol, table }),
    ),
  );
  return [...ours, ...strangers];
}

/**
 * Several `ip … show` in one process, as one list each. `-N`, because names of tables and protocols are the host's to
 * choose. Where a version of `ip` does not print one line a listing, each is asked for by itself.
 */
async function list(run: Run, flags: readonly string[], shows: readonly string[]): Promise<Item[][]> {
  const argv = ['ip', '-N', '-j', ...flags] as const;
  const text = await run({ argv: [...argv, '-batch', '-'], input: `${shows.join('\n')}\n` });
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const texts =
    lines.length === shows.length
      ? lines
      : await Promise.all(shows.map((show) => run({ argv: [...argv, ...show.split(' ')] })));
  return texts.map((listing, at) => [...parseItems(listing, `ip ${shows[at]}`)]);
}

async function readTable(run: Run): Promise<HeldTable | undefined> {
  try {
    const text = await run({ argv: ['nft', '-s', '-j', 'list', 'table', 'inet', NFT_TABLE] });
    return parseTable(text, NFT_TABLE);
  } catch (error) {
    if (isNoTable(error)) return undefined;
    throw error;
  }
}

/** nft knows no such table. */
export function isNoTable(error: unknown): boolean {
  return error instanceof CommandError && !error.isMissing && /No such file or directory/.test(error.stderr);
}

async function readSysctls(run: Run, keys: readonly string[]): Promise<Readonly<Record<string, string>>> {
  if (keys.length === 0) return {};
  return parseSysctls(await run({ argv: ['sysctl', '-e', ...keys.map(slashKey)] }), keys);
}
