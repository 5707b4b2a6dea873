// A bell between the parts of one process: rung often, answered once.

import { setTimeout as sleep } from 'node:timers/promises';

/** The longest time that a timer of Node counts, in milliseconds: 24 days. */
export const FOREVER = 2_147_483_647;

/** Level-triggered: a ring that nobody waits for is kept, any number of them as one. */
export class Wake {
  #isRung = false;
  #answer: (() => void) | undefined;

  ring(): void {
    this.#isRung = true;
    this.#answer?.();
  }

  /** Resolves at the next ring, or at one that came before, or after `ms`, or when the signal aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    const timer = new AbortController();
    if (!this.#isRung && !signal.aborted) {
      const rung = new Promise<void>((resolve) => {
        this.#answer = resolve;
      });
      await Promise.race([rung, pause(ms, AbortSignal.any([signal, timer.signal]))]);
      this.#answer = undefined;
      timer.abort();
    }
    this.#isRung = false;
  }
}

/** Waits; an abort ends the wait early and is no error. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
