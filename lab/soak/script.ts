// What a soak does, step by step: it follows from the seed and the topology, and from nothing that happens.
// This module is pure.

import { isClear, mayMeet } from './allowed.ts';
import { Dice } from './dice.ts';
import { KINDS, type SoakFault } from './faults.ts';
import { placings } from './placings.ts';
import type { SoakTopology } from './topology.ts';

export interface Step {
  /** `7.2`: the second step of round 7. */
  readonly id: string;
  readonly action: 'break' | 'mend';
  readonly fault: SoakFault;
  /** What is broken after it. */
  readonly inForce: readonly SoakFault[];
  /** So long it stays so before anybody looks at what is reached. */
  readonly holdMs: number;
}

/** It begins and ends with nothing broken, so that each can be repeated by itself. */
export interface Round {
  readonly number: number;
  readonly steps: readonly Step[];
}

export interface Script {
  readonly seed: number;
  readonly topology: SoakTopology;
}

/** An idle path is noticed to be dead after 1.5 s, one that loses packets after 2 s. */
const LEAST_HOLD_MS = 2500;
const MOST_HOLD_MS = 5000;
/** Of rounds, so many have a second fault in them, where there is one that may meet the first. */
const PAIRED = 0.6;
/** The rounds from that number on, without an end. In each run of as many rounds as there are kinds, each kind comes first once. */
export function* rounds(script: Script, from = 1): Generator<Round, never> {
  for (let number = from; ; number += 1) yield roundOf(script, number);
}

/**
 * @param number from 1
 * @throws {RangeError} where nothing can be broken without making it unclear what may be reached
 */
export function roundOf({ seed, topology }: Script, number: number): Round {
  const all = placings(topology).filter((fault) => isClear(topology, [fault]));
  const possible = new Set(kindsOf(all));
  const turn = Math.floor((number - 1) / possible.size);
  // The order of all, so that a machine which lacks one has the others in the same.
  const order = new Dice(seed, 0, turn).shuffled(KINDS).filter((kind) => possible.has(kind));
  const kind = order[(number - 1) % possible.size];
  const dice = new Dice(seed, 1, number);
  const first = dice.pick(all.filter((fault) => fault.kind === kind));
  const second =
    dice.next() < PAIRED
      ? secondOf(
          dice,
          all.filter((fault) => mayMeet(topology, first, fault)),
        )
      : [];
  return { number, steps: stepsOf(dice, number, [first, ...second]) };
}

function kindsOf(faults: readonly SoakFault[]): SoakFault['kind'][] {
  return [...new Set(faults.map(({ kind }) => kind))];
}

/** By its kind first: there are many more ways to break paths than brokers. */
function secondOf(dice: Dice, candidates: readonly SoakFault[]): SoakFault[] {
  if (candidates.length === 0) return [];
  const kind = dice.pick(kindsOf(candidates));
  return [dice.pick(candidates.filter((fault) => fault.kind === kind))];
}

/** Broken one after the other, and mended in either order. */
function stepsOf(dice: Dice, number: number, faults: readonly SoakFault[]): Step[] {
  const holdMs = (): number => LEAST_HOLD_MS + dice.below(MOST_HOLD_MS - LEAST_HOLD_MS);
  const mended = dice.shuffled(faults);
  const steps = [
    ...faults.map((fault, at) => {
      return { action: 'break', fault, inForce: faults.slice(0, at + 1), holdMs: holdMs() } as const;
    }),
    ...mended.map((fault, at) => {
      const left = mended.slice(at + 1);
      return { action: 'mend', fault, inForce: left, holdMs: left.length === 0 ? 0 : holdMs() } as const;
    }),
  ];
  return steps.map((step, at) => ({ id: `${number}.${at + 1}`, ...step }));
}

/** Milliseconds that a round takes at least. */
export function leastMs({ steps }: Round): number {
  return steps.reduce((sum, { holdMs }) => sum + holdMs, 0);
}
