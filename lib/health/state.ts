// The four states of a path, with what moves it from one to another.
// This module is pure.

/**
 *                 answer, refusal
 *      unknown ──────────────────▶  up  ◀──────────────────┐
 *                                   │                      │ steady, alone
 *             silence, deaf, lossy  │                      │
 *                                   ▼   answer, refusal    │
 *                                 down ────────────────▶ held
 *                                   ▲                      │
 *                                   └─── silence, deaf ────┘
 *
 * - `unknown`: never answered. It carries nothing, so there is nothing to take away. What is adopted begins as `up`.
 * - `up`: carries traffic.
 * - `down`: does not answer, or is not fit to be used.
 * - `held`: answers again, and has to prove its steadiness first.
 */
export type PathState = 'unknown' | 'up' | 'down' | 'held';

/**
 * - `answer`: the far daemon has answered, and does not say that it hears nothing of us.
 * - `refusal`: the far kernel has said that nobody listens; it said so through the path.
 * - `silence`: as many asks in a row as end a path stayed without an answer.
 * - `deaf`: the far end says that its own asks are not answered.
 * - `lossy`: far more is lost than on a sibling that is up.
 * - `steady`: the run of answers has been long enough.
 * - `alone`: no path beside this one is up, and it was left for its loss only.
 */
export type PathEvent = 'answer' | 'refusal' | 'silence' | 'deaf' | 'lossy' | 'steady' | 'alone';

type Row = Readonly<Record<PathEvent, PathState>>;

/** Every state × event, so that a missing pair does not compile. */
const NEXT: Readonly<Record<PathState, Row>> = {
  unknown: {
    answer: 'up',
    refusal: 'up',
    silence: 'unknown',
    deaf: 'unknown',
    lossy: 'unknown',
    steady: 'unknown',
    alone: 'unknown',
  },
  up: {
    answer: 'up',
    refusal: 'up',
    silence: 'down',
    deaf: 'down',
    lossy: 'down',
    steady: 'up',
    alone: 'up',
  },
  down: {
    answer: 'held',
    refusal: 'held',
    silence: 'down',
    deaf: 'down',
    lossy: 'down',
    steady: 'down',
    alone: 'down',
  },
  held: {
    answer: 'held',
    refusal: 'held',
    silence: 'down',
    deaf: 'down',
    lossy: 'held',
    steady: 'up',
    alone: 'up',
  },
};

export function nextState(state: PathState, event: PathEvent): PathState {
  return NEXT[state][event];
}
