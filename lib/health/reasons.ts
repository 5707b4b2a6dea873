// The reason for a path's change of state, from what it was, what it is, and those beside it.
// This module is pure.

import type { PathReason } from './change.ts';
import { betterSibling } from './loss.ts';
import { missLimit } from './path.ts';
import type { Path } from './path.ts';
import type { PathEvent } from './state.ts';
import { lostCount, tallied } from './tally.ts';

type Reasoning = (before: Path, after: Path, beside: readonly Path[]) => PathReason;

const REASONS: Readonly<Record<PathEvent, Reasoning>> = {
  answer: () => ({ kind: 'answers' }),
  refusal: () => ({ kind: 'refuses' }),
  silence: (_, { misses }, beside) => unanswered(misses, beside),
  deaf: () => ({ kind: 'deaf' }),
  lossy: (before, _, beside) => {
    const [lost, of] = [lostCount(before.tally), tallied(before.tally)];
    return { kind: 'loss', lost, of, siblingLost: betterSibling(before, beside) ?? 0 };
  },
  steady: ({ run, since }, after) => ({ kind: 'steady', forMs: after.since - (run?.since ?? since) }),
  alone: () => ({ kind: 'last left' }),
};

export function reasonOf(before: Path, after: Path, beside: readonly Path[]): PathReason {
  if (after.state === 'held') return { kind: 'on trial', proofMs: after.run?.proofMs ?? 0 };
  return REASONS[after.cause ?? 'answer'](before, after, beside);
}

function unanswered(lost: number, beside: readonly Path[]): PathReason {
  if (beside.length === 0) return { kind: 'unanswered', lost };
  const siblingAnswers = beside.some((path) => path.state === 'up' && path.misses < missLimit(path));
  return { kind: 'unanswered', lost, siblingAnswers };
}
