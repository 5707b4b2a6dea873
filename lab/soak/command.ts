// `lab soak` as a command line.

import process from 'node:process';
import { randomInt } from 'node:crypto';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { soak } from './run.ts';

interface Flags {
  readonly for: number;
  readonly seed?: number;
  readonly from: number;
  readonly json?: boolean;
}

const UNITS = { s: 1000, m: 60_000, h: 3_600_000 } as const;

/** `90s`, `20m`, `2h` as milliseconds. */
function duration(text: string): number {
  const [, count, unit] = /^(\d+)([smh])$/.exec(text) ?? [];
  if (count === undefined || Number(count) === 0 || (unit !== 's' && unit !== 'm' && unit !== 'h'))
    throw new InvalidArgumentError('it is no duration such as 90s, 20m or 2h');
  return Number(count) * UNITS[unit];
}

function whole(least: number): (text: string) => number {
  return (text) => {
    if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text);
    throw new InvalidArgumentError(`it is no whole number from ${least}`);
  };
}

export function addSoak(program: Command): void {
  program
    .command('soak')
    .description('break a clusterset at random, and look whether it stays what it is')
    .addOption(
      new Option('--for <duration>', '90s, 20m, 2h').argParser(duration).default(duration('20m'), '20m'),
    )
    .option('--seed <n>', 'the same one breaks the same, in the same order (default: by chance)', whole(0))
    .option('--from <round>', 'begin with that round', whole(1), 1)
    .option('--json', 'print one JSON document; what happens goes to stderr')
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => interrupted.abort(new Error(`Interrupted by ${name}; the lab was removed`)));
  const output = flags.json === true ? process.stderr : process.stdout;
  const say = (line: string): void => void output.write(`${line}\n`);
  const { seed = randomInt(1_000_000), for: forMs, from } = flags;
  const report = await soak({ seed, forMs, from, signal: interrupted.signal, say });
  if (flags.json === true) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
  const { problems, rounds, steps, seconds, evidence, replay, failed } = report;
  if (problems.length === 0) return say(`All held: ${rounds} rounds, ${steps.length} steps, ${seconds} s.`);
  say(['', 'Did not hold:', ...problems].join('\n'));
  if (evidence !== undefined) say(`Logs, and what each node held: ${evidence}`);
  say(`Again: ${replay}`);
  if (failed !== undefined && failed !== from)
    say(`From that round on: ${replay.replace(/ --from \d+$/, '')} --from ${failed}`);
  process.exitCode = 1;
}
