// What passes between a detector and whoever drives it.
// This module is pure.

import type { Budget } from './budget.ts';
import type { MtuChange, StateChange } from './change.ts';
import type { Hears } from './path.ts';

export type PathChange = StateChange | MtuChange;

/** A probe that has to leave now. */
export interface PathAsk {
  readonly path: string;
  /** The answer repeats it, together with the size. */
  readonly sequence: number;
  /** 0 for a small probe, else the size of the inner IP packet that it has to fill. */
  readonly size: number;
  /** What it has to say of our own asks on this path. */
  readonly hears: Hears;
}

export interface PathAnswer {
  readonly sequence: number;
  /** Size of the ask as it arrived at the far end: 0 for a small one. */
  readonly size: number;
  readonly hears: Hears;
}

export interface Step {
  /** To be sent at once. They count as sent. */
  readonly asks: readonly PathAsk[];
  readonly changes: readonly PathChange[];
  /** Paths whose tunnels are to be made anew. */
  readonly kicks: readonly string[];
  /** When the next step is due at the latest, or Infinity; see the detector's own `wakeAt`. */
  readonly wakeAt: number;
}

export interface DetectorOptions {
  /** Milliseconds on the monotonic clock that all other times are of. */
  readonly now: number;
  /** In [0, 1). */
  readonly random: () => number;
  /**
   * What all watches of this process share.
   * @default 2000 packets a second
   */
  readonly budget?: Budget;
}
