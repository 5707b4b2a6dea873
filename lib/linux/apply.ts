// Makes a kernel hold a wanted state: read, diff once, change in few batches, carry on after a failure.

import { messageOf } from '#lib/errors';
import type { Changes } from './changes.ts';
import type { RememberedSysctls } from './diff-rest.ts';
import { diffState, hasChanges } from './diff-state.ts';
import type { Failure } from './execute.ts';
import { execute } from './execute.ts';
import { readState } from './read.ts';
import type { Run } from './run.ts';
import { script } from './script.ts';
import type { NetworkState } from './state.ts';
import { EMPTY_STATE } from './state.ts';
import { afterChanges, beforeChanges, memoryPath, recallSysctls, rememberSysctls } from './sysctl-store.ts';

export interface ApplyOptions {
  /** Directory of this host's state: previous sysctl values stand there. */
  readonly stateDir: string;
  /**
   * How a missing WireGuard device comes to be: by the kernel, or by this function, which resolves once all the named
   * devices exist and can be configured.
   * @default 'kernel'
   */
  readonly wireguard?: 'kernel' | ((names: readonly string[]) => Promise<void>);
  readonly signal?: AbortSignal;
}

export interface Applied {
  /** What differed, and was therefore attempted. */
  readonly changes: Changes;
  /** `unchanged`: nothing differed. `incomplete`: {@link failures} says what did not succeed; the rest did. */
  readonly outcome: 'unchanged' | 'changed' | 'incomplete';
  readonly failures: readonly Failure[];
}

/**
 * Idempotent; adopts whatever of ours it finds; may be killed at any point and called again. Adds before removes.
 * Rejects with RangeError for a plan that could not be recognised afterwards, and with CommandError where the kernel
 * cannot be read.
 */
export async function applyState(run: Run, wanted: NetworkState, options: ApplyOptions): Promise<Applied> {
  const path = memoryPath(options.stateDir);
  const { remembered, problem } = await recallSysctls(path);
  const sysctls = [...new Set([...Object.keys(wanted.sysctls), ...Object.keys(remembered)])];
  const have = await readState(run, { sysctls, ...signalOf(options) });
  const planned = diffState(have, wanted, remembered);
  const note = await noteBefore(path, remembered, planned);
  const changes = note.failure === undefined ? planned : { ...planned, sysctls: [] };
  const failed = await change(run, changes, options);
  const settled = note.failure === undefined && !failed.some(({ what }) => what === 'sysctl');
  const failures = [
    ...(problem === undefined ? [] : [{ what: `remember sysctls in "${path}"`, reason: problem }]),
    ...(note.failure === undefined ? [] : [note.failure]),
    ...failed,
    ...(settled ? await noteAfter(path, note.remembered, wanted) : []),
  ];
  return { changes, outcome: outcomeOf(changes, failures), failures };
}

/**
 * Makes changes that were found without reading the kernel, from `changesBetween`: in one batch a program.
 * Rejects only when the signal aborts.
 */
export async function changeState(
  run: Run,
  changes: Changes,
  options: Pick<ApplyOptions, 'signal'> = {},
): Promise<Applied> {
  const failures = await change(run, changes, options);
  return { changes, outcome: outcomeOf(changes, failures), failures };
}

function change(run: Run, changes: Changes, options: Omit<ApplyOptions, 'stateDir'>): Promise<Failure[]> {
  if (!hasChanges(changes)) return Promise.resolve([]);
  const { wireguard = 'kernel' } = options;
  const steps = script(changes, wireguard === 'kernel' ? 'kernel' : 'userspace');
  const start = wireguard === 'kernel' ? refuseStart : wireguard;
  return execute(run, steps, { start, ...signalOf(options) });
}

function outcomeOf(changes: Changes, failures: readonly Failure[]): Applied['outcome'] {
  if (failures.length > 0) return 'incomplete';
  return hasChanges(changes) ? 'changed' : 'unchanged';
}

/** Removes everything that is recognisably ours, and restores sysctls that are still as we set them. */
export function cleanState(run: Run, options: ApplyOptions): Promise<Applied> {
  return applyState(run, EMPTY_STATE, options);
}

function signalOf({ signal }: Pick<ApplyOptions, 'signal'>): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function refuseStart(names: readonly string[]): Promise<void> {
  return Promise.reject(new Error(`Cannot start "${names.join(' ')}": the kernel makes WireGuard devices`));
}

interface Note {
  readonly remembered: RememberedSysctls;
  readonly failure?: Failure;
}

/** On disk before anything is set: a sysctl whose former value cannot be kept is not changed. */
async function noteBefore(path: string, remembered: RememberedSysctls, changes: Changes): Promise<Note> {
  const next = beforeChanges(remembered, changes);
  const failed = await write(path, remembered, next);
  return failed === undefined ? { remembered: next } : { remembered, failure: failed };
}

async function noteAfter(
  path: string,
  remembered: RememberedSysctls,
  wanted: NetworkState,
): Promise<Failure[]> {
  const failed = await write(path, remembered, afterChanges(remembered, wanted.sysctls));
  return failed === undefined ? [] : [failed];
}

async function write(
  path: string,
  from: RememberedSysctls,
  to: RememberedSysctls,
): Promise<Failure | undefined> {
  if (JSON.stringify(from) === JSON.stringify(to)) return undefined;
  try {
    await rememberSysctls(path, to);
    return undefined;
  } catch (error) {
    const reason = messageOf(error);
    return { what: `remember sysctls in "${path}", so none is changed`, reason };
  }
}
