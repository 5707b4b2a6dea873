// `npm run bench [-- NAME…] [--json]`, `npm run bench -- failover [--only ID] [--runs N] [--json]`: measures, and prints a table or one JSON document.

import os from 'node:os';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { measureFailover } from '../failover/run.ts';
import { renderRows } from '../failover/summary.ts';
import type { Benchmark, Row } from './benchmark.ts';
import { BENCHMARKS } from './list.ts';
import { renderTable } from './table.ts';

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => controller.abort());
  return controller.signal;
}

/** @throws {RangeError} on a name that no benchmark has */
function choose(names: readonly string[]): readonly Benchmark[] {
  const unknown = names.find((name) => !BENCHMARKS.some(({ id }) => id === name));
  if (unknown !== undefined) {
    throw new RangeError(
      `Cannot run "${unknown}": benchmarks are ${BENCHMARKS.map(({ id }) => id).join(', ')}`,
    );
  }
  return names.length === 0 ? BENCHMARKS : BENCHMARKS.filter(({ id }) => names.includes(id));
}

interface Outcome {
  readonly id: string;
  readonly rows: readonly Row[];
  readonly error?: string;
}

/** One that fails does not keep the others from running. */
async function measure(benchmark: Benchmark, signal: AbortSignal): Promise<Outcome> {
  say(`${benchmark.id}: ${benchmark.what}`);
  try {
    return { id: benchmark.id, rows: await benchmark.run({ signal, say: (text) => say(`  ${text}`) }) };
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    say(`  failed: ${text}`);
    return { id: benchmark.id, rows: [], error: text };
  }
}

/** Everything beside a reference; what `failover` measures takes half an hour, and is asked for by its name. */
async function measureAll(names: readonly string[], isJson: boolean, signal: AbortSignal): Promise<void> {
  const outcomes: Outcome[] = [];
  for (const benchmark of choose(names)) {
    if (!signal.aborted) outcomes.push(await measure(benchmark, signal));
  }
  const table = (): string => renderTable(outcomes.flatMap(({ rows }) => rows));
  print(isJson ? JSON.stringify({ machine, benchmarks: outcomes }, undefined, 2) : table());
  if (outcomes.some(({ error }) => error !== undefined)) process.exitCode = 1;
}

interface FailoverFlags {
  readonly json: boolean;
  readonly only?: string | undefined;
  readonly runs?: string | undefined;
}

async function failover({ json, only, runs = '3' }: FailoverFlags, signal: AbortSignal): Promise<void> {
  if (!/^[1-9]\d*$/.test(runs)) throw new RangeError(`Cannot measure "${runs}" times: it is no whole number`);
  const { rows, references } = await measureFailover({ only, runs: Number(runs), signal, say });
  print(json ? JSON.stringify({ machine, rows, references }) : renderRows([...rows, ...references]));
  if (rows.some(({ variants }) => variants.some(({ error }) => error !== undefined))) process.exitCode = 1;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

const machine = {
  cpus: os.cpus().length,
  cpu: os.cpus()[0]?.model ?? '',
  kernel: os.release(),
  node: process.version,
};
const { values, positionals } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    runs: { type: 'string' },
  },
  allowPositionals: true,
});
const isFailover = positionals[0] === 'failover' && positionals.length === 1;
if (!isFailover && (values.only ?? values.runs) !== undefined)
  throw new RangeError('Cannot use --only and --runs: they belong to "failover", alone');
const signal = interruption();
await (isFailover ? failover(values, signal) : measureAll(positionals, values.json, signal)).catch(
  (error: unknown) => {
    if (!signal.aborted) throw error;
  },
);
if (signal.aborted) process.exitCode = 1;
