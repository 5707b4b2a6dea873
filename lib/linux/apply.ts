// Makes a kernel hold a wanted state.

import type { Changes } from './changes.ts';
import type { Run } from './run.ts';
import type { NetworkState } from './state.ts';

export interface ApplyOptions {
  /** Directory of this host's state: previous sysctl values stand there. */
  readonly stateDir: string;
  /**
   * How a missing WireGuard device comes to be: by the kernel, or by this function, which resolves once all the named
   * devices exist and are configurable.
   * @default 'kernel'
   */
  readonly wireguard?: 'kernel' | ((names: readonly string[]) => Promise<void>);
  readonly signal?: AbortSignal;
}

/** One thing that could not be done; the rest was done all the same. */
export interface Failure {
  readonly what: string;
  readonly reason: string;
}

export interface Applied {
  /** What differed, and was therefore attempted. */
  readonly changes: Changes;
  /** `unchanged`: nothing differed. `incomplete`: {@link failures} says what did not succeed. */
  readonly outcome: 'unchanged' | 'changed' | 'incomplete';
  readonly failures: readonly Failure[];
}

/** Reads, diffs, changes in few batches, adds before removes. Carries on after a failure. */
export function applyState(run: Run, wanted: NetworkState, options: ApplyOptions): Promise<Applied> {
  return Promise.reject(
    new Error(`Cannot apply: not built yet (${options.stateDir}, ${wanted.links.length}, ${run.name})`),
  );
}

/** Removes everything that is recognisably ours. */
export function cleanState(run: Run, options: ApplyOptions): Promise<Applied> {
  return Promise.reject(new Error(`Cannot clean: not built yet (${options.stateDir}, ${run.name})`));
}
