// The command line that both daemons share.

import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { messageOf } from '#lib/errors';
import type { Level } from '#lib/log';

/** Where a daemon finds things and what it is told to be. */
export interface Flags {
  readonly site: string;
  readonly secrets: string;
  readonly state: string;
  /** Name of this host's node in `site.yaml`. */
  readonly node: string;
  readonly statusPort: number;
  readonly logLevel: Level;
}

/** What was asked for is a text, not a run. */
export type Asked = { readonly print: string } | { readonly flags: Flags };

/** A command line that cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];

export interface Program {
  readonly name: string;
  readonly version: string;
  /** One sentence on what it does. */
  readonly purpose: string;
  readonly statusPort: number;
  /** Whether it takes `--secrets`. */
  readonly credentials: boolean;
}

/** @throws {UsageError} that names the flag */
export function parseFlags(program: Program, args: readonly string[]): Asked {
  const values = parsed(program, args);
  if (values.help === true) return { print: help(program) };
  if (values.version === true) return { print: `${program.name} ${program.version}\n` };
  return {
    flags: {
      site: values.site ?? '/etc/isthmus',
      secrets: values.secrets ?? '/var/lib/isthmus/secrets',
      state: values.state ?? '/var/lib/isthmus/state',
      node: values.node ?? hostname(),
      statusPort: portOf(values['status-port'], program),
      logLevel: levelOf(values['log-level'], program),
    },
  };
}

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const OPTIONS = {
  site: text,
  secrets: text,
  state: text,
  node: text,
  'status-port': text,
  'log-level': text,
  help: flag,
  version: flag,
};

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'];

function parsed({ name, credentials }: Program, args: readonly string[]): Values {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: OPTIONS,
      strict: true,
      allowPositionals: false,
    });
    if (!credentials && values.secrets !== undefined) throw new RangeError('It needs no --secrets');
    return values;
  } catch (cause) {
    const reason = messageOf(cause);
    throw new UsageError(`${reason}. See: ${name} --help`, { cause });
  }
}

function portOf(given: string | undefined, { name, statusPort }: Program): number {
  const port = given === undefined ? statusPort : Number(given);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new UsageError(`Cannot use --status-port ${given}: it is no port. See: ${name} --help`);
}

function levelOf(given: string | undefined, { name }: Program): Level {
  const level = LEVELS.find((each) => each === (given ?? 'info'));
  if (level !== undefined) return level;
  throw new UsageError(`Cannot use --log-level ${given}: wanted ${LEVELS.join(', ')}. See: ${name} --help`);
}

function help({ name, purpose, statusPort, credentials }: Program): string {
  const secrets = '  --secrets DIR       membership and keys        [/var/lib/isthmus/secrets]\n';
  return `${name}: ${purpose}

  --site DIR          site directory             [/etc/isthmus]
${credentials ? secrets : ''}  --state DIR         this host's own state      [/var/lib/isthmus/state]
  --node NAME         this host in site.yaml     [its host name]
  --status-port PORT  loopback /metrics, /state  [${statusPort}]
  --log-level LEVEL   debug, info, warn, error   [info]
  --version  --help

Exit status: 0 stopped, or the cluster has left; 1 failed; 2 wrong flags or wrong host; 5 this host cannot.
`;
}
