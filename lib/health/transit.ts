// Whether one remote gateway forwards to the nodes behind it, from rounds of probes that need an answer from any of them.
// This module is pure.

import type { ForwardReason, ForwardVerdict } from './change.ts';
import { UNDAMPED, failed, proofMs } from './damping.ts';
import type { Damping } from './damping.ts';
import { deadline, wasAsleep } from './lateness.ts';
import type { Lateness } from './lateness.ts';
import { patienceMs, sampled } from './rtt.ts';
import type { Rtt } from './rtt.ts';

/**
 *                any node answers
 *     unknown ──────────────────────▶  yes  ◀─────────────────┐
 *        │                              │                     │ answers in every round,
 *        │   3 rounds in a row without an answer,             │ for as long as the proof
 *        │   though tunnels to it answer, and somebody        │ of its recent failures
 *        │   has shown that there is one to be had            │
 *        └──────────────────────────▶  no  ───────────────────┘
 *
 * One that is unknown counts as forwarding: its cluster may have no node that answers.
 */
export interface Transit {
  readonly verdict: ForwardVerdict;
  readonly since: number;
  /** Sequence of the last round. */
  readonly sequence: number;
  readonly askedAt: number;
  /** The round that is out. */
  readonly round?: Round;
  /** Rounds in a row without an answer. */
  readonly misses: number;
  /** When the first of them was asked, and the last. */
  readonly missingSince?: number;
  readonly missedAt?: number;
  /** When a node behind it last answered through it, and which. Absent: none ever did. */
  readonly answeredAt?: number;
  /** When the first answer came of those since which no round stayed out. Absent: the last round did. */
  readonly answeringSince?: number;
  readonly responder?: number;
  readonly rtt?: Rtt;
  readonly damping: Damping;
  /** While `no`: since when every round was answered, and how many. */
  readonly run?: { readonly since: number; readonly rounds: number };
}

export interface Round {
  readonly at: number;
  readonly overdueAt: number;
}

/** What else is known when a round ends. */
export interface Evidence {
  readonly now: number;
  readonly late: Lateness;
  /** A tunnel to this gateway is up and not in doubt: what does not come back was not lost on the way to it. */
  readonly isReachable: boolean;
  /** Other gateways of its cluster. */
  readonly others: readonly Transit[];
}

/** Rounds in a row without an answer that make a gateway one that does not forward. */
const MISS_LIMIT = 3;
/** Milliseconds for which an answer through another gateway shows that there are nodes that answer. */
const ELSEWHERE_MS = 2000;
/** Milliseconds after the first round without an answer from which on one through another gateway counts: sooner, the node may have fallen silent in between. */
const AFTERWARDS_MS = 300;
/** Rounds in a run, whatever time they took. */
const LEAST_ROUNDS = 3;

export function newTransit(now: number): Transit {
  return { verdict: 'unknown', since: now, sequence: 0, askedAt: -Infinity, misses: 0, damping: UNDAMPED };
}

/** After a round with the next sequence has left. */
export function roundAsked(transit: Transit, now: number): Transit {
  const round = { at: now, overdueAt: now + patienceMs(transit.rtt) };
  return { ...transit, sequence: transit.sequence + 1, askedAt: now, round };
}

/** After an answer. One to an earlier round changes nothing. */
export function roundAnswered(
  transit: Transit,
  { sequence, responder }: { readonly sequence: number; readonly responder: number },
  { now, late }: { readonly now: number; readonly late: Lateness },
): Transit {
  const { round, ...rest } = transit;
  if (round === undefined || sequence !== transit.sequence) return transit;
  const rtt = wasAsleep(late, round.at) ? {} : { rtt: sampled(transit.rtt, now - round.at) };
  const { answeringSince = now } = transit;
  const next: Transit = { ...rest, misses: 0, answeredAt: now, answeringSince, responder, ...rtt };
  if (next.verdict === 'unknown') return { ...next, verdict: 'yes', since: now };
  return next.verdict === 'no' ? onTrial(next, now) : next;
}

/** After the time of a round has run out. The same value where it has not. */
export function roundExpired(transit: Transit, evidence: Evidence): Transit {
  const { round, run: _, answeringSince: __, ...rest } = transit;
  const { now, late, isReachable } = evidence;
  if (round === undefined || deadline(late, round) > now) return transit;
  // A way that is in doubt itself says nothing about what lies behind its end.
  if (!isReachable) return { ...rest, misses: 0 };
  const missingSince = transit.misses === 0 ? round.at : (transit.missingSince ?? round.at);
  const next: Transit = { ...rest, misses: transit.misses + 1, missingSince, missedAt: round.at };
  const isJudged = next.misses >= MISS_LIMIT && next.verdict !== 'no' && isElsewhere(transit, evidence);
  return isJudged ? { ...next, verdict: 'no', since: now, damping: failed(next.damping, now) } : next;
}

/** Why it came from one verdict to another. */
export function forwardReason(before: Transit, after: Transit): ForwardReason {
  if (after.verdict === 'no') return { kind: 'unanswered', rounds: after.misses };
  if (before.verdict === 'unknown') return { kind: 'forwards' };
  return { kind: 'steady', forMs: after.since - (before.run?.since ?? before.since) };
}

/**
 * Nodes that answer nobody say nothing about a gateway: their daemons may be restarted all at once. The first answer of one
 * that is back says nothing about rounds that were asked before it either: this one and the one before it came later, then.
 */
function isElsewhere(
  { missingSince = Infinity, missedAt = -Infinity }: Transit,
  { now, others }: Evidence,
): boolean {
  return others.some(
    ({ answeringSince = Infinity, answeredAt = -Infinity }) =>
      answeringSince < missedAt &&
      answeredAt > missingSince + AFTERWARDS_MS &&
      now - answeredAt <= ELSEWHERE_MS,
  );
}

function onTrial(transit: Transit, now: number): Transit {
  const { run = { since: now, rounds: 0 }, damping, ...rest } = transit;
  const rounds = run.rounds + 1;
  const isProven = rounds >= LEAST_ROUNDS && now - run.since >= proofMs(damping, run.since);
  if (isProven) return { ...rest, damping, verdict: 'yes', since: now };
  return { ...rest, damping, run: { ...run, rounds } };
}
