// One path as a value: what asks, answers and their absence make of it.
// This module is pure.

import { overdue, withAsk } from './asks.ts';
import type { Ask } from './asks.ts';
import { UNDAMPED, failed, proofMs } from './damping.ts';
import type { Damping } from './damping.ts';
import { isExcusing, wasAsleep } from './lateness.ts';
import type { Lateness } from './lateness.ts';
import { patienceMs, sampled } from './rtt.ts';
import type { Rtt } from './rtt.ts';
import { nextState } from './state.ts';
import type { PathEvent, PathState } from './state.ts';
import {
  TALLY_SIZE,
  driftedDown,
  driftedUp,
  judge,
  lostAfter,
  lostCount,
  newTally,
  tallied,
} from './tally.ts';
import type { Tally } from './tally.ts';

/** Whether a speaker's own asks are answered, as it says in each ask and answer. */
export type Hears = 'yes' | 'no' | 'unknown';

/** Answers without a loss between them, by which a held path proves itself. */
export interface Run {
  readonly since: number;
  /** Sequence of the first. */
  readonly sequence: number;
  readonly answers: number;
  /** How long it has to last, were other paths up. */
  readonly proofMs: number;
}

/** Words of a far kernel in the place of its daemon. */
export interface Refusals {
  readonly since: number;
  readonly count: number;
}

/** What is known of one path. Times are milliseconds on one monotonic clock. */
export interface Path {
  readonly state: PathState;
  /** When it came into this state. */
  readonly since: number;
  /** What brought it there. Absent: it began so. */
  readonly cause?: PathEvent;
  /** What last took it down. */
  readonly downBy?: PathEvent;
  /** Sequence of the last ask, and when it left. */
  readonly sequence: number;
  readonly askedAt: number;
  readonly asks: readonly Ask[];
  /** Highest sequence that was answered, by daemon or kernel. */
  readonly answered: number;
  /** Asks after that one that count as lost: unanswered in a row. */
  readonly misses: number;
  readonly tally: Tally;
  /** Share of asks that others overtook, 0 to 1 in the long run: one that is silent for a while does not lose some. */
  readonly lossRate: number;
  readonly rtt?: Rtt;
  /** What the far end says of its own asks. */
  readonly farHears: Hears;
  /** What the far kernel has refused since the far daemon last answered. Absent: the daemon answered last. */
  readonly refusals?: Refusals;
  /** While held. */
  readonly run?: Run;
  readonly damping: Damping;
}

/** When something is judged, and in which circumstances. */
export interface Moment {
  readonly now: number;
  readonly late: Lateness;
  /** No other path to the same neighbour is up. */
  readonly isAlone: boolean;
}

/**
 * Asks lost in a row that end a path. Four: at 1 % random loss, three in a row come about once in 20 h on each busy path,
 * four once in 80 days; and the pace of a path in doubt has room for a fourth within 350 ms.
 */
const MISS_LIMIT = 4;
/**
 * The same of a path that is the only one, and the milliseconds from the first of them to the last: leaving it sends nothing
 * another way, it only lets connections fail sooner. So it gets more time, 600 ms of it with traffic: a machine that is short
 * of processors is silent for as long as four asks take. By the clock, because such a machine asks more slowly as well, and a
 * site that is gone has to be unreachable within a second, on its workers too.
 */
const LONE_LIMIT = 6;
const LONE_MS = 400;
/** The same where only a kernel answers, once a second: within 4 s. */
const REFUSED_LIMIT = 3;
/**
 * Refusals in a row that show a daemon which is stopped. Fewer may be an answer's that was lost, or that is on its way behind the
 * kernel's: who asked no more for a second would not see the path die. A kernel that limits them has six for a start.
 */
const STOPPED_AFTER = 4;
/** Answers in a run, whatever time they took: where asks are rare, two may be luck. */
const LEAST_ANSWERS = 3;
/** Most losses in a full tally with which a path that was left for its loss returns. */
const LOST_ON_RETURN = 1;

/** A path nobody has asked yet; `isProven` where an earlier process had it up. */
export function newPath(now: number, isProven: boolean): Path {
  return {
    state: isProven ? 'up' : 'unknown',
    since: now,
    sequence: 0,
    askedAt: -Infinity,
    asks: [],
    answered: 0,
    misses: 0,
    tally: newTally(0),
    lossRate: 0,
    farHears: 'unknown',
    damping: UNDAMPED,
  };
}

/** After an ask with the next sequence has left. */
export function asked(path: Path, now: number): Path {
  const sequence = path.sequence + 1;
  const overdueAt = now + patienceMs(path.rtt);
  const ask = { sequence, at: now, overdueAt, isJudged: false, isKnocking: path.misses > 0 };
  return { ...path, sequence, askedAt: now, asks: withAsk(path.asks, ask) };
}

/** What the far daemon answered. */
export interface Answer {
  readonly sequence: number;
  readonly hears: Hears;
}

/** After an answer. One to an ask that is not out (answered before, too old, never asked) changes nothing. */
export function answered(path: Path, { sequence, hears }: Answer, moment: Moment): Path {
  const ask = path.asks.find((ask) => ask.sequence === sequence);
  if (ask === undefined) return path;
  const { now, late } = moment;
  const tally = judge(path.tally, sequence, false);
  const last = Math.max(path.answered, sequence);
  const { refusals: _, ...rest } = path;
  const farHears = believed(hears, moment);
  const misses = lostAfter(tally, last);
  const heard: Path = {
    ...rest,
    asks: path.asks.filter((other) => other !== ask),
    answered: last,
    misses,
    tally,
    lossRate: driftedDown(overtaken(path, misses)),
    farHears,
    ...(wasAsleep(late, ask.at) ? {} : { rtt: sampled(path.rtt, now - ask.at) }),
  };
  return farHears === 'no' ? moved(heard, 'deaf', moment) : proven(heard, 'answer', moment);
}

/**
 * After a far kernel has said that nobody listens: tunnel and kernel work, and a daemon may be stopped for a while. No ask
 * that is out ends the path any more: it does not say which one it means. They stay, since the daemon may answer a moment
 * later; where it does not, one that has not been stopped for long has lost them to a path that loses some.
 */
export function refused(path: Path, moment: Moment): Path {
  const { since, count } = path.refusals ?? { since: moment.now, count: 0 };
  const lossRate = overtaken(path, 0);
  const answers: Partial<Path> = { answered: path.sequence, misses: 0, lossRate, farHears: 'unknown' };
  const next: Path = { ...path, ...answers, refusals: { since, count: count + 1 } };
  const asks = isStopped(next) ? path.asks.map((ask) => ({ ...ask, isJudged: true })) : path.asks;
  return proven({ ...next, asks }, 'refusal', moment);
}

/** The long run, once all but `misses` of those that were missing are known to be lost on a way that works. */
function overtaken({ state, lossRate, misses: before }: Path, misses: number): number {
  return state === 'down' ? lossRate : driftedUp(lossRate, Math.max(0, before - misses));
}

/** After an ask of the far end has arrived, which says whether its own asks are answered. */
export function heard(path: Path, hears: Hears, moment: Moment): Path {
  const farHears = believed(hears, moment);
  const next = farHears === path.farHears ? path : { ...path, farHears };
  return farHears === 'no' ? moved(next, 'deaf', moment) : next;
}

/** After the time of asks has run out. The same value where none has. */
export function expired(path: Path, moment: Moment): Path {
  const lost = overdue(path.asks, moment.now, moment.late);
  if (lost.length === 0) return path;
  let { tally } = path;
  for (const { sequence } of lost) tally = judge(tally, sequence, true);
  const missed = lost.filter(({ sequence }) => sequence > path.answered).length;
  const misses = path.misses + missed;
  const lossRate = driftedUp(path.lossRate, lost.length - missed);
  const asks = path.asks.map((ask) => (lost.includes(ask) ? { ...ask, isJudged: true } : ask));
  const { run, ...rest } = path;
  const isUnbroken = run !== undefined && lost.every(({ sequence }) => sequence < run.sequence);
  const next: Path = { ...rest, asks, tally, lossRate, misses, ...(isUnbroken ? { run } : {}) };
  const isOver = moment.isAlone && !isStopped(path) ? isLongLost(next) : misses >= missLimit(path);
  return isOver && isHeardOut(next) ? moved(next, 'silence', moment) : next;
}

/** What is missing is enough to give up the only path. Where asks are rare, the first of it is forgotten: that was long ago. */
function isLongLost({ misses, asks, answered }: Path): boolean {
  if (misses < LONE_LIMIT) return false;
  const missed = asks.filter(({ sequence, isJudged }) => sequence > answered && isJudged);
  const lastedMs = (missed.at(-1)?.at ?? 0) - (missed[0]?.at ?? 0);
  return missed.length < misses || lastedMs >= LONE_MS;
}

/** The far kernel has had its time to answer as well: over a long way four asks are lost before a knock can be. */
function isHeardOut({ asks, answered }: Path): boolean {
  return asks.some(({ sequence, isKnocking, isJudged }) => sequence > answered && isKnocking && isJudged);
}

/** After it was found to lose far more than a sibling. */
export function ejected(path: Path, moment: Moment): Path {
  return moved(path, 'lossy', moment);
}

/** After no other path was left: one that only loses some is used again, a silent one has nothing to offer. */
export function leftAlone(path: Path, moment: Moment): Path {
  return path.downBy === 'lossy' ? moved(path, 'alone', moment) : path;
}

/** What to tell the far end. Only of own asks: two ends that believed each other would keep each other down. */
export function hearsOf({ state, misses, answered, refusals }: Path): Hears {
  if (misses >= MISS_LIMIT && state !== 'up') return 'no';
  return answered === 0 || refusals !== undefined ? 'unknown' : 'yes';
}

/** Whether the next answers decide something: asks of it and of its siblings are worth some effort. */
export function isDoubted({ state, misses }: Path): boolean {
  return state === 'up' && misses > 0;
}

/** Whether the far daemon does not run, or as good as that. */
export function isStopped({ refusals }: Path): boolean {
  return refusals !== undefined && refusals.count >= STOPPED_AFTER;
}

/** Misses in a row that end this path where others are up, or its daemon is stopped. */
export function missLimit(path: Path): number {
  return isStopped(path) ? REFUSED_LIMIT : MISS_LIMIT;
}

function believed(hears: Hears, { now, late }: Moment): Hears {
  return hears === 'no' && isExcusing(late, now) ? 'unknown' : hears;
}

/** After evidence that the path works: a held one that has proven itself is up. */
function proven(path: Path, event: 'answer' | 'refusal', moment: Moment): Path {
  const next = moved(path, event, moment);
  if (next.state !== 'held') return next;
  const run = next.run ?? newRun(next, moment);
  const counted = { ...next, run: { ...run, answers: run.answers + 1 } };
  return isSteady(counted, counted.run, moment) ? moved(counted, 'steady', moment) : counted;
}

function newRun({ damping, answered }: Path, { now }: Moment): Run {
  return { since: now, sequence: answered, answers: 0, proofMs: proofMs(damping, now) };
}

/** Where nothing else is up, every moment of waiting is an outage, and bad service is better than none. */
function isSteady({ downBy, tally }: Path, run: Run, { now, isAlone }: Moment): boolean {
  if (run.answers < LEAST_ANSWERS) return false;
  if (isAlone) return true;
  if (now - run.since < run.proofMs) return false;
  return downBy !== 'lossy' || (tallied(tally) >= TALLY_SIZE && lostCount(tally) <= LOST_ON_RETURN);
}

function moved(path: Path, event: PathEvent, { now }: Moment): Path {
  const state = nextState(path.state, event);
  if (state === path.state) return path;
  const { run: _, ...rest } = path;
  const next: Path = { ...rest, state, since: now, cause: event };
  if (state === 'held') return { ...next, tally: newTally(path.answered) };
  return state === 'down' ? fallen(path, next, event) : next;
}

/** What was left for its loss and then falls silent has not become better by that. */
function fallen({ state, downBy, damping }: Path, next: Path, event: PathEvent): Path {
  const { refusals: _, ...rest } = next;
  if (state === 'up') return { ...rest, downBy: event, damping: failed(damping, next.since) };
  return { ...rest, downBy: downBy === 'lossy' ? downBy : event };
}
