// The largest packet that a path carries, found by asking with packets of that size (DPLPMTUD, RFC 8899).
// This module is pure.

import { deadline } from './lateness.ts';
import type { Lateness } from './lateness.ts';

/**
 *               answered                ceiling answered, or nothing left between
 *      base ──────────────▶ searching ───────────────────────────────────▶ complete
 *     ▲    │                    ▲                                           │    │
 *     └────┘ 3 lost: next rung  └─── every 10 min, while below the ceiling ─┘    │
 *     ▲                                                                          │
 *     └────────────────────────── 3 lost: a black hole ──────────────────────────┘
 *
 * Below the first rung a larger size is tried every 10 s: other paths carry its packets meanwhile. So it is once where a size is new: on a
 * host that was short of processors just then, three probes are soon lost.
 *
 * A probe counts as lost only where a small ask that left with it was answered: a dead path says nothing about sizes.
 */
export type MtuPhase = 'base' | 'searching' | 'complete';

/** Sizes are those of inner IP packets: the ceiling, which is what this host's own line leaves room for, or a multiple of 16 below it. */
export interface Mtu {
  readonly phase: MtuPhase;
  /** What may be sent. While searching that is what was known before, so that routes change once and not at each step. */
  readonly size: number;
  readonly ceiling: number;
  /** Largest size that was answered in this search. */
  readonly low: number;
  /** Smallest size that was lost. Absent: none is known. */
  readonly high?: number;
  /** Probes lost in a row of the size that is asked about. */
  readonly tries: number;
  /** When the size was last asked about with success. */
  readonly checkedAt: number;
  /** When a larger size is tried next. */
  readonly raiseAt: number;
  readonly probe?: MtuProbe;
}

/** A packet that is out. */
export interface MtuProbe {
  readonly size: number;
  /** Of the small ask that left with it. */
  readonly sequence: number;
  readonly at: number;
  readonly overdueAt: number;
}

/**
 * Sizes that are believed without proof for as long as it takes to ask, the largest first: what IPv6 demands
 * (RFC 8200 §5); RFC 8899's own base, which the narrowest path measured between clouds (1296 outside) carries; what every
 * IPv4 host takes (RFC 791).
 */
const RUNGS = [1280, 1200, 576] as const;
/** WireGuard pads packets to multiples of this, so sizes between have no effect of their own. */
const STEP = 16;
/** Probes of one size lost in a row that make it too large (MAX_PROBES). */
const MAX_PROBES = 3;
/** Milliseconds until a larger size is tried (PMTU_RAISE_TIMER), and where the size is new, or below the first rung. */
const RAISE_MS = 600_000;
const SOON_RAISE_MS = 10_000;

/** `size`: what an earlier process had found. Absent: nothing is known, and the first rung is assumed. */
export function newMtu(ceiling: number, size?: number): Mtu {
  const at = { tries: 0, checkedAt: -Infinity, raiseAt: -Infinity, ceiling };
  if (size !== undefined && size <= ceiling) return { ...at, phase: 'complete', size, low: size };
  const base = Math.min(RUNGS[0], ceiling);
  return { ...at, phase: 'base', size: base, low: base };
}

/** The small ask that a probe would leave with. */
export interface Companion {
  readonly sequence: number;
  readonly at: number;
  readonly overdueAt: number;
  /** Milliseconds between two checks of the size that stands. */
  readonly checkMs: number;
}

/** With a probe that has just left, where one is due; else the same value. */
export function probed(mtu: Mtu, { sequence, at, overdueAt, checkMs }: Companion): Mtu {
  if (mtu.probe !== undefined || !isDue(mtu, at, checkMs)) return mtu;
  const next = isRaising(mtu, at) ? raising(mtu) : mtu;
  const size = next.phase === 'searching' ? (candidate(next) ?? next.low) : next.size;
  return { ...next, probe: { size, sequence, at, overdueAt } };
}

/** After the answer to a probe. One to a probe that is not out changes nothing. */
export function confirmed(mtu: Mtu, answer: { sequence: number; size: number }, now: number): Mtu {
  const { probe, ...rest } = mtu;
  if (probe?.sequence !== answer.sequence || probe.size !== answer.size) return mtu;
  if (mtu.phase === 'complete') return { ...rest, tries: 0, checkedAt: now };
  return settled({ ...rest, phase: 'searching', low: probe.size, tries: 0 }, now);
}

/** After the time of a probe has run out; `answered` is the highest sequence of a small ask that was answered. */
export function unconfirmed(
  mtu: Mtu,
  answered: number,
  { now, late }: { readonly now: number; readonly late: Lateness },
): Mtu {
  const { probe, ...rest } = mtu;
  if (probe === undefined || deadline(late, probe) > now) return mtu;
  if (answered < probe.sequence) return rest;
  const tries = mtu.tries + 1;
  if (tries < MAX_PROBES) return { ...rest, tries };
  const failed = { ...rest, high: probe.size, tries: 0 };
  return mtu.phase === 'searching' ? settled(failed, now) : lowered(failed, now);
}

/** After the path has come back: it may be another way now. */
export function rechecked(mtu: Mtu): Mtu {
  if (mtu.phase !== 'complete') return mtu;
  return { ...mtu, checkedAt: -Infinity, raiseAt: -Infinity };
}

/** Whether what was assumed turns out to be all that the path carries: the same size, and until now nobody knew. */
export function isFound(before: Mtu, after: Mtu): boolean {
  const isFirst = before.phase !== 'complete' && before.checkedAt === -Infinity;
  return isFirst && after.phase === 'complete' && after.size < after.ceiling;
}

/** Whether the size is in question, and worth the pace of a busy path. */
export function isSizing({ phase, tries }: Mtu): boolean {
  return phase !== 'complete' || tries > 0;
}

function isDue(mtu: Mtu, now: number, checkMs: number): boolean {
  if (isSizing(mtu) || isRaising(mtu, now)) return true;
  return now - mtu.checkedAt >= checkMs;
}

/** Only from a size that was checked: after a return, first things first. */
function isRaising({ phase, size, ceiling, tries, raiseAt, checkedAt }: Mtu, now: number): boolean {
  return phase === 'complete' && tries === 0 && size < ceiling && now >= raiseAt && checkedAt > -Infinity;
}

function raising(mtu: Mtu): Mtu {
  const { high: _, ...rest } = mtu;
  return { ...rest, phase: 'searching', low: mtu.size, tries: 0 };
}

/** The size to ask about next: the ceiling first, which most paths carry, then the middle of what is left. */
function candidate({ low, high, ceiling }: Mtu): number | undefined {
  if (high === undefined) return low < ceiling ? ceiling : undefined;
  const middle = STEP * Math.floor((low + high) / 2 / STEP);
  const size = middle > low ? middle : middle + STEP;
  return size < high ? size : undefined;
}

/** Ends a search that has nothing left to ask about. */
function settled(mtu: Mtu, now: number): Mtu {
  if (candidate(mtu) !== undefined) return mtu;
  return completed(mtu, mtu.low, now);
}

/** A size that is new may have been found in a bad moment, so that it is soon asked for more; one that is found again stands. */
function completed(mtu: Mtu, size: number, now: number): Mtu {
  const isNarrow = size < Math.min(RUNGS[0], mtu.ceiling);
  return {
    ...mtu,
    phase: 'complete',
    size,
    checkedAt: now,
    raiseAt: now + (isNarrow || size !== mtu.size ? SOON_RAISE_MS : RAISE_MS),
  };
}

/** To the next rung; from the last one there is no way down, and it stands. */
function lowered(mtu: Mtu, now: number): Mtu {
  const rung = RUNGS.find((size) => size < mtu.size);
  if (rung === undefined) return completed(mtu, mtu.size, now);
  return { ...mtu, phase: 'base', size: rung, low: rung };
}
