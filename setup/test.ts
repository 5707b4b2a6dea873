// `npm test`: runs every tier of tests that this machine can, naming those that it cannot.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { addCounts, NOTHING, summarise, TapReader } from './tap.ts';
import type { Counts } from './tap.ts';
import { TIERS } from './tiers.ts';
import type { Tier } from './tiers.ts';

const root = path.dirname(import.meta.dirname);
const AVA = path.join(root, 'node_modules', 'ava', 'entrypoints', 'cli.js');

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Aborts at the first SIGINT or SIGTERM: AVA then stops its tests, whose own clean-up removes namespaces. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => controller.abort());
  return controller.signal;
}

interface Outcome {
  readonly counts: Counts;
  /** The lines about failed tests, to be repeated where a reader of a long run looks: at its end. */
  readonly failures: readonly string[];
}

/** Shows what a tier's tests say while they say it. */
async function relay(stream: Readable, tier: Tier): Promise<Outcome> {
  const reader = new TapReader(tier);
  const failures: string[] = [];
  let counts = NOTHING;
  for await (const line of createInterface({ input: stream })) {
    const { counts: more, text, isFailure } = reader.read(line);
    counts = addCounts(counts, more);
    if (text === undefined) continue;
    print(text);
    if (isFailure) failures.push(text);
  }
  return { counts, failures };
}

async function runTier(tier: Tier, patterns: readonly string[], signal: AbortSignal): Promise<Outcome> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(tier.timeoutMinutes * 60_000)]);
  const child = spawn(process.execPath, [...(tier.launcher ?? []), AVA, '--tap', ...tier.ava, ...patterns], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = (): void => void child.kill('SIGTERM');
  // Ctrl-C may have come during set-up.
  if (limit.aborted) stop();
  limit.addEventListener('abort', stop);
  const { counts, failures } = await relay(child.stdout, tier);
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  if (limit.aborted)
    print(`  ✖ ${signal.aborted ? 'interrupted' : `not done after ${tier.timeoutMinutes} minutes`}`);
  const isBroken = limit.aborted || (child.exitCode !== 0 && counts.failed === 0);
  return { counts: isBroken ? addCounts(counts, { ...NOTHING, failed: 1 }) : counts, failures };
}

async function timed(tier: Tier, patterns: readonly string[], signal: AbortSignal): Promise<Outcome> {
  print(`Tier ${tier.name}`);
  const started = performance.now();
  const outcome = await runTier(tier, patterns, signal);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  print(`Tier ${tier.name}: ${summarise(outcome.counts)} in ${seconds} s`);
  return outcome;
}

function skipped(tier: Tier, obstacle: string): Outcome {
  print(`Tier ${tier.name} skipped: ${obstacle}`);
  const isCi = process.env['CI'] === 'true';
  if (isCi) print('  ✖ a skipped tier is a failure where CI=true');
  return { counts: isCi ? { ...NOTHING, failed: 1 } : NOTHING, failures: [] };
}

/** `npm test -- unit`, `npm test -- lab 'lab/tests/join*'`: one tier, and files of it. */
function select(args: readonly string[]): readonly [tiers: readonly Tier[], patterns: readonly string[]] {
  const named = TIERS.filter((tier) => tier.name === args[0]);
  return named.length > 0
    ? [named, args.slice(1)]
    : [TIERS.filter(({ isByName }) => isByName !== true), args];
}

/** Sets up one tier after the other, since each may ask; then runs those that it can. */
async function runAll(
  tiers: readonly Tier[],
  patterns: readonly string[],
  signal: AbortSignal,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  const able: Tier[] = [];
  for (const tier of tiers) {
    const obstacle = await tier.prepare();
    if (obstacle === undefined) able.push(tier);
    else outcomes.push(skipped(tier, obstacle));
  }
  const run = (tier: Tier): Promise<Outcome> => timed(tier, patterns, signal);
  const beside = able.filter(({ isBeside }) => isBeside === true).map(run);
  for (const tier of able.filter(({ isBeside }) => isBeside !== true))
    if (!signal.aborted) outcomes.push(await run(tier));
  return [...outcomes, ...(await Promise.all(beside))];
}

const outcomes = await runAll(...select(process.argv.slice(2)), interruption());
const failures = outcomes.flatMap((outcome) => outcome.failures);
const total = outcomes.map(({ counts }) => counts).reduce(addCounts, NOTHING);
if (failures.length > 0) print(['What failed, once more:', ...failures].join('\n'));
if (total.failed > 0 || total.passed === 0) process.exitCode = 1;
print(summarise(total));
