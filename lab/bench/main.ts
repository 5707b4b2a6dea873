// `npm run bench [-- NAME…] [--json]`: measures, each thing beside its reference, and prints a table or one JSON document.

import os from 'node:os';
import process from 'node:process';
import { parseArgs } from 'node:util';
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

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const signal = interruption();
const outcomes: Outcome[] = [];
for (const benchmark of choose(positionals)) {
  if (!signal.aborted) outcomes.push(await measure(benchmark, signal));
}
const machine = {
  cpus: os.cpus().length,
  cpu: os.cpus()[0]?.model ?? '',
  kernel: os.release(),
  node: process.version,
};
process.stdout.write(
  values.json
    ? `${JSON.stringify({ machine, benchmarks: outcomes }, undefined, 2)}\n`
    : `${renderTable(outcomes.flatMap(({ rows }) => rows))}\n`,
);
if (signal.aborted || outcomes.some(({ error }) => error !== undefined)) process.exitCode = 1;
