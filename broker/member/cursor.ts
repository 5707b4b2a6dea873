// How far the stream was read without a gap, and which stream that was.
//
//              read from the cursor on                     an update is the next one
//   ┌────────┐ ──────────────────────► ┌───────────────┐ ───────────────────────────┐
//   │ behind │                         │ in step       │ ◄──────────────────────────┘
//   └────────┘ ◄────────────────────── └───────────────┘
//              an update is not the next one: a gap (read on), or a step back (read all)
//
// This module is pure.

import type { Beacon } from '../records/beacon.ts';

/** What is kept on disk. */
export interface CursorState {
  /** Nothing up to this sequence is missing. */
  readonly sequence: number;
  /** The beacon's words for the stream that `sequence` counts in; absent: no beacon was heard yet. */
  readonly created?: string;
  readonly session?: string;
}

/** Counts sequences; whoever feeds it reads the stream when it says so. */
export class Cursor {
  #sequence: number;
  #created: string | undefined;
  #session: string | undefined;
  /** Sequence when the connection was last lost: a server that comes back with less has lost something. */
  #mark: number;
  /** The unbroken run of updates that arrived while behind. */
  #run: { first: number; last: number } | undefined;
  #isBehind = true;
  #isLost = false;
  gaps = 0;

  constructor(state: CursorState = { sequence: 0 }) {
    this.#sequence = state.sequence;
    this.#created = state.created;
    this.#session = state.session;
    this.#mark = state.sequence;
  }

  get state(): CursorState {
    const created = this.#created === undefined ? {} : { created: this.#created };
    const session = this.#session === undefined ? {} : { session: this.#session };
    return { sequence: this.#sequence, ...created, ...session };
  }

  /** Something may be missing: read the stream from {@link start} on. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** First sequence to read: 1 when the stream is not the one that was followed. */
  get start(): number {
    return this.#isLost ? 1 : this.#sequence + 1;
  }

  /** The connection was lost: updates may pass unseen. */
  disconnected(): void {
    this.#mark = this.#sequence;
    this.#isBehind = true;
    this.#run = undefined;
  }

  /** Read on: something says that there is more. */
  fallBehind(): void {
    this.#isBehind = true;
  }

  /** Read everything: this is not the stream that was followed, or not as it was. Nothing is forgotten for it. */
  lose(): void {
    this.#isLost = true;
    this.#isBehind = true;
  }

  /** A live update. Its contents are judged elsewhere; here only its number counts. */
  update(sequence: number): void {
    if (!this.#isBehind && sequence === this.#sequence + 1) {
      this.#sequence = sequence;
      return;
    }
    if (!this.#isBehind) {
      if (sequence > this.#sequence) this.gaps += 1;
      else this.lose();
      this.#isBehind = true;
    }
    const run = this.#run;
    this.#run = run?.last === sequence - 1 ? { ...run, last: sequence } : { first: sequence, last: sequence };
  }

  /**
   * The stream was read from `start` up to `last` (the start's predecessor when it held nothing from there on). In
   * step again, unless the updates that came meanwhile begin later than that.
   */
  caughtUp(start: number, last: number): void {
    if (start === 1) this.#isLost = false;
    const run = this.#run;
    const isJoined = run === undefined || run.first <= last + 1;
    this.#sequence = isJoined ? Math.max(last, run?.last ?? 0) : last;
    this.#isBehind = !isJoined || this.#isLost;
    if (isJoined) this.#run = undefined;
  }

  /** Notices by a beacon that the stream is another one, or an older copy of it. */
  identify(beacon: Beacon): void {
    const isOther = this.#created !== undefined && this.#created !== beacon.created;
    const isOlder = this.#session !== beacon.session && beacon.sessionHead < this.#mark;
    if (isOther || isOlder) this.lose();
    this.#created = beacon.created;
    this.#session = beacon.session;
    if (isOther || isOlder) this.#mark = 0;
  }
}
