// What has changed about a path or a gateway, why, and how that is said.
// This module is pure.

import type { PathState } from './state.ts';

/** Why a path came into a state. */
export type PathReason =
  /** Never known before, and it answers (or its far kernel does). */
  | { readonly kind: 'answers' | 'refuses' }
  /** Asks lost in a row; whether another path to the same neighbour answers, where there is one. */
  | { readonly kind: 'unanswered'; readonly lost: number; readonly siblingAnswers?: boolean }
  | { readonly kind: 'deaf' }
  /** Losses of the last `of` asks, and how many of as many a sibling lost. */
  | { readonly kind: 'loss'; readonly lost: number; readonly of: number; readonly siblingLost: number }
  /** It answers again, and is used after so long without a loss. */
  | { readonly kind: 'on trial'; readonly proofMs: number }
  | { readonly kind: 'steady'; readonly forMs: number }
  /** It was left for its loss, and nothing else is up. */
  | { readonly kind: 'last left' };

/** Why a path's packet size changed. */
export type MtuReason = 'found' | 'black hole';

/** Why a gateway is, or is no longer, one that forwards. */
export type ForwardReason =
  | { readonly kind: 'forwards' }
  /** Rounds in a row without an answer from behind it, while another gateway reached a node. */
  | { readonly kind: 'unanswered'; readonly rounds: number }
  | { readonly kind: 'steady'; readonly forMs: number };

export type ForwardVerdict = 'unknown' | 'yes' | 'no';

interface ChangeOf<What extends string, Value, Reason> {
  readonly what: What;
  /** Milliseconds on the caller's monotonic clock. */
  readonly at: number;
  /** The path (`west/1#0`), or the gateway (`west/1`). */
  readonly path: string;
  readonly from: Value;
  readonly to: Value;
  readonly reason: Reason;
}

export type StateChange = ChangeOf<'state', PathState, PathReason>;
export type MtuChange = ChangeOf<'mtu', number, MtuReason>;
export type ForwardChange = ChangeOf<'forwards', ForwardVerdict, ForwardReason>;
export type Change = StateChange | MtuChange | ForwardChange;

/** `path west/1#0 down: 4 of 4 probes unanswered, sibling answers`. */
export function describeChange(change: Change): string {
  const { path, from, to } = change;
  const text = reasonText(change);
  if (change.what === 'state') return `path ${path} ${to}: ${text}`;
  if (change.what === 'mtu') return `path ${path} mtu ${from} → ${to}: ${text}`;
  return `gateway ${path} ${to === 'no' ? 'does not forward' : 'forwards'}: ${text}`;
}

const PATH_TEXTS = {
  answers: 'the first probe is answered',
  refuses: 'the far kernel answers, its daemon does not run',
  deaf: 'far end does not hear us',
  'last left': 'no other path is up',
} as const;

const MTU_TEXTS: Readonly<Record<MtuReason, string>> = {
  found: 'largest packet that arrives',
  'black hole': 'larger packets do not arrive, small ones do',
};

/** What stands after the colon. */
export function reasonText(change: Change): string {
  if (change.what === 'state') return pathReasonText(change.reason);
  return change.what === 'mtu' ? MTU_TEXTS[change.reason] : forwardReasonText(change.reason);
}

function pathReasonText(reason: PathReason): string {
  switch (reason.kind) {
    case 'unanswered':
      return `${reason.lost} of ${reason.lost} probes unanswered${siblingText(reason.siblingAnswers)}`;
    case 'loss':
      return `${reason.lost} of ${reason.of} probes lost, sibling lost ${reason.siblingLost}`;
    case 'on trial':
      return `answers again, in use after ${seconds(reason.proofMs)} without a loss`;
    case 'steady':
      return `no loss for ${seconds(reason.forMs)}`;
    case 'answers':
    case 'refuses':
    case 'deaf':
    case 'last left':
      break;
  }
  return PATH_TEXTS[reason.kind];
}

function forwardReasonText(reason: ForwardReason): string {
  if (reason.kind === 'forwards') return 'a node behind it answers';
  if (reason.kind === 'steady') return `nodes behind it have answered for ${seconds(reason.forMs)}`;
  return `no node behind it answered ${reason.rounds} rounds of probes, another gateway reaches one`;
}

function siblingText(answers: boolean | undefined): string {
  if (answers === undefined) return '';
  return answers ? ', sibling answers' : ', no sibling answers';
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
