// Runs the steps of a script, one process each, carrying on after what fails.

import { messageOf } from '#lib/errors';
import type { NftChange, SysctlChange } from './changes.ts';
import { fingerprint } from './fingerprint.ts';
import { parseTable, sealName } from './parse-nft.ts';
import { slashKey } from './parse-sysctl.ts';
import { changeElements, deleteTable, replaceTable, sealTable } from './render-nft.ts';
import { CommandError } from './run.ts';
import type { Run } from './run.ts';
import type { Line, Step } from './script.ts';
import type { NftTable } from './state.ts';

/** One thing that could not be done; the rest was done all the same. */
export interface Failure {
  /** The line or command. */
  readonly what: string;
  /** In the program's own words. */
  readonly reason: string;
}

export interface ExecuteOptions {
  /** Makes userspace WireGuard devices. */
  readonly start: (names: readonly string[]) => Promise<void>;
  readonly signal?: AbortSignal;
}

const TOOLS = { ip: ['ip'], ip6: ['ip', '-6'], bridge: ['bridge'] } as const;
/** What `ip` and `bridge` say of a thing that is not there. */
const GONE =
  /No such (?:process|file or directory|device)|Cannot find device|Nexthop id does not exist|Cannot assign requested address/;
const UNGUARDED = 'the nftables table is missing, so nothing is let through';

/** Rejects only when the signal aborts. */
export async function execute(run: Run, steps: readonly Step[], options: ExecuteOptions): Promise<Failure[]> {
  const failures: Failure[] = [];
  let guarded = true;
  for (const step of steps) {
    options.signal?.throwIfAborted();
    const failed = await oneStep(run, step, { ...options, guarded });
    failures.push(...failed);
    if (failed.length > 0 && step.kind === 'nft' && isFirst(step.change)) guarded = false;
  }
  return failures;
}

function isFirst(change: NftChange): boolean {
  return change.kind === 'replace' && change.reason === 'missing';
}

function oneStep(run: Run, step: Step, options: ExecuteOptions & { guarded: boolean }): Promise<Failure[]> {
  if (step.kind === 'nft') return attempt('nft', () => changeTable(run, step.change));
  if (step.kind === 'start') return attempt(`start ${step.names.join(' ')}`, () => options.start(step.names));
  if (step.kind === 'sysctl') return setSysctls(run, step.changes);
  return options.guarded ? batch(run, TOOLS[step.kind], step.lines) : closed(run, step);
}

/** Only what lets nothing through. */
async function closed(run: Run, step: Extract<Step, { lines: readonly Line[] }>): Promise<Failure[]> {
  const lines = step.lines.filter(({ opens }) => opens !== true);
  const left = step.lines.length - lines.length;
  const failures = await batch(run, TOOLS[step.kind], lines);
  return left === 0 ? failures : [{ what: `${left} routes and groups`, reason: UNGUARDED }, ...failures];
}

async function attempt(what: string, act: () => Promise<void>): Promise<Failure[]> {
  try {
    await act();
    return [];
  } catch (error) {
    return [{ what, reason: messageOf(error) }];
  }
}

/** With `-force` a batch goes on after a line that fails, and names the line on stderr after the reason. */
async function batch(
  run: Run,
  tool: readonly [string, ...string[]],
  lines: readonly Line[],
): Promise<Failure[]> {
  if (lines.length === 0) return [];
  try {
    const input = `${lines.map(({ text }) => text).join('\n')}\n`;
    await run({ argv: [...tool, '-force', '-batch', '-'], input, timeoutMs: 120_000 });
    return [];
  } catch (error) {
    const failed = error instanceof CommandError ? failedLines(error.stderr, lines) : [];
    if (failed.length > 0)
      return failed.flatMap(({ line, ...failure }) => (isPardoned(line, failure) ? [] : failure));
    const reason = messageOf(error);
    return [{ what: tool.join(' '), reason }];
  }
}

interface FailedLine extends Failure {
  readonly line: Line;
}

function failedLines(stderr: string, lines: readonly Line[]): FailedLine[] {
  const failed: FailedLine[] = [];
  let said: string[] = [];
  for (const text of stderr.split('\n')) {
    const line = lines[Number(/^Command failed \S+:(\d+)$/.exec(text)?.[1] ?? 0) - 1];
    if (line === undefined) said.push(text);
    else {
      failed.push({ line, what: line.text, reason: said.join(' ').trim() });
      said = [];
    }
  }
  return failed;
}

function isPardoned(line: Line, { reason }: Failure): boolean {
  return line.forgiving === true && GONE.test(reason);
}

async function changeTable(run: Run, change: NftChange): Promise<void> {
  switch (change.kind) {
    case 'delete':
      return nft(run, deleteTable(change.name));
    case 'elements':
      return nft(run, changeElements(change));
    case 'replace':
      await nft(run, replaceTable(change.table));
      return seal(run, change.table);
  }
}

async function nft(run: Run, input: string): Promise<void> {
  await run({ argv: ['nft', '-f', '-'], input });
}

/** A table that was replaced and not sealed (we may be killed in between) is replaced again. */
async function seal(run: Run, { name, body }: NftTable): Promise<void> {
  const text = await run({ argv: ['nft', '-s', '-j', 'list', 'table', 'inet', name] });
  const { listing } = parseTable(text, name);
  await nft(run, sealTable(name, sealName(fingerprint(body), listing)));
}

/** sysctl goes on after a key that it cannot set, with one line on stderr for each. */
async function setSysctls(run: Run, changes: readonly SysctlChange[]): Promise<Failure[]> {
  const input = changes.map(({ key, to }) => `${slashKey(key)} = ${to}\n`).join('');
  try {
    await run({ argv: ['sysctl', '-q', '-p', '-'], input });
    return [];
  } catch (error) {
    const stderr = error instanceof CommandError ? error.stderr.trim() : '';
    const reasons = stderr === '' ? [messageOf(error)] : stderr.split('\n');
    return reasons.map((reason) => ({ what: 'sysctl', reason }));
  }
}
