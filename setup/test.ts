// `npm test`: runs every tier of tests that this machine can, naming those that it cannot.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
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

async function runTier(tier: Tier, patterns: readonly string[], signal: AbortSignal): Promise<Counts> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(tier.timeoutMinutes * 60_000)]);
  const child = spawn(process.execPath, [AVA, '--tap', ...tier.ava, ...patterns], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  limit.addEventListener('abort', () => child.kill('SIGTERM'));
  const reader = new TapReader(tier);
  let counts = NOTHING;
  for await (const line of createInterface({ input: child.stdout })) {
    const { counts: more, text } = reader.read(line);
    counts = addCounts(counts, more);
    if (text !== undefined) print(text);
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  if (limit.aborted)
    print(`  ✖ ${signal.aborted ? 'interrupted' : `not done after ${tier.timeoutMinutes} minutes`}`);
  const isFailure = limit.aborted || (child.exitCode !== 0 && counts.failed === 0);
  return isFailure ? addCounts(counts, { ...NOTHING, failed: 1 }) : counts;
}

async function attempt(tier: Tier, patterns: readonly string[], signal: AbortSignal): Promise<Counts> {
  const obstacle = await tier.prepare();
  if (obstacle === undefined) {
    print(`Tier ${tier.name}`);
    const started = performance.now();
    const counts = await runTier(tier, patterns, signal);
    print(`  ${summarise(counts)} in ${((performance.now() - started) / 1000).toFixed(0)} s`);
    return counts;
  }
  print(`Tier ${tier.name} skipped: ${obstacle}`);
  const isCi = process.env['CI'] === 'true';
  if (isCi) print('  ✖ a skipped tier is a failure where CI=true');
  return isCi ? { ...NOTHING, failed: 1 } : NOTHING;
}

/** `npm test -- unit`, `npm test -- lab 'lab/tests/join*'`: one tier, and files of it. */
function select(args: readonly string[]): readonly [tiers: readonly Tier[], patterns: readonly string[]] {
  const named = TIERS.filter((tier) => tier.name === args[0]);
  return named.length > 0 ? [named, args.slice(1)] : [TIERS, args];
}

const signal = interruption();
const [tiers, patterns] = select(process.argv.slice(2));
let total = NOTHING;
for (const tier of tiers) {
  if (!signal.aborted) total = addCounts(total, await attempt(tier, patterns, signal));
}
if (total.failed > 0 || total.passed === 0) process.exitCode = 1;
print(summarise(total));
