// `clusterctl version`: what is installed here.

import process from 'node:process';
import manifest from '../package.json' with { type: 'json' };
import type { Run } from '#lib/linux';
import type { Context } from './context.ts';
import type { Format } from './output-option.ts';
import { printRows } from './output.ts';

export interface VersionOptions {
  readonly output: Format;
}

/** What each program is asked, in the order shown. All of them print one line. */
const PROGRAMS = {
  ip: ['ip', '-V'],
  nft: ['nft', '--version'],
  wg: ['wg', '--version'],
  'wireguard-go': ['wireguard-go', '--version'],
  'nats-server': ['nats-server', '--version'],
} as const;

export async function version({ run, ...context }: Context, { output }: VersionOptions): Promise<void> {
  const found = Object.entries(PROGRAMS).map(async ([program, argv]) => ({
    program,
    version: await ask(run, argv),
  }));
  const rows = [
    { program: 'clusterctl', version: manifest.version },
    { program: 'node', version: process.versions.node },
    ...(await Promise.all(found)),
  ];
  printRows({ run, ...context }, output, rows, {
    columns: [
      { head: 'program', cell: (row) => row.program },
      { head: 'version', cell: (row) => row.version ?? 'not found' },
    ],
    empty: '',
  });
}

/** The number in a program's first line; undefined when it is not on the PATH. */
async function ask(run: Run, argv: readonly [string, ...string[]]): Promise<string | undefined> {
  try {
    const text = await run({ argv, timeoutMs: 5000 });
    return /v?(\d+\.\d+[\w.]*)/.exec(text)?.[1] ?? /ss\d+|\d{4,}/.exec(text)?.[0];
  } catch {
    return undefined;
  }
}
