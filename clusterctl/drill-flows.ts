// What the echoes of a drill tell: when each flow was silent, and what it lost.
// This module is pure.

/** Milliseconds between two echo requests of a flow. */
export const PACE_MS = 20;
/** Milliseconds after which what has not been answered is no longer on its way. */
const PATIENCE_MS = 1000;
/** Milliseconds of silence that are more than one lost packet, or a busy host. */
const STALLED_MS = 200;

export interface Reply {
  readonly sequence: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** One stream of echo requests, numbered from 1. */
export interface Flow {
  readonly sent: number;
  readonly replies: readonly Reply[];
}

/** Moments, in milliseconds since 1970: the flows begin, the failure does, it ends, the flows do. */
export interface Times {
  readonly begun: number;
  readonly failed: number;
  readonly restored: number;
  readonly ended: number;
}

export type Phase = 'before' | 'during' | 'after';

/** Of one flow in each phase. */
export type PerPhase = Readonly<Record<Phase, number>>;

export interface FlowFigures {
  /** Requests; like losses and silences they count where the wait for their answers began. */
  readonly sent: PerPhase;
  readonly lost: PerPhase;
  /** Longest time without an answer that began in the phase; with nothing wrong, the pace. */
  readonly silenceMs: PerPhase;
  /** From the failure's end to the first answer after it; absent: there was none. */
  readonly backMs?: number;
  /** It answered again while the failure lasted, or never ceased to. */
  readonly recovered: boolean;
  /** It fell silent after the failure's end, and was so at the end of the measurement. */
  readonly fellSilent: boolean;
}

const REPLY = /^\[(\d+\.\d+)\] \d+ bytes from .*?icmp_seq=(\d+) .*time=/;
const SENT = /^(\d+) packets transmitted/m;

/** What `ping -n -D` says. Duplicates count once. */
export function parsePing(text: string): Flow {
  const replies = new Map<number, Reply>();
  for (const line of text.split('\n')) {
    const [, seconds, number] = REPLY.exec(line) ?? [];
    const sequence = Number(number);
    if (seconds === undefined || replies.has(sequence)) continue;
    replies.set(sequence, { sequence, at: Number(seconds) * 1000 });
  }
  const last = Math.max(0, ...replies.keys());
  const sent = Math.max(last, Number(SENT.exec(text)?.[1] ?? 0));
  return { sent, replies: [...replies.values()].toSorted((a, b) => a.sequence - b.sequence) };
}

/** From one answer to the next. */
interface Gap {
  readonly from: number;
  readonly to: number;
  readonly sent: number;
  readonly lost: number;
}

export function figuresOf(flow: Flow, times: Times): FlowFigures {
  const gaps = gapsOf(flow, times);
  const byPhase = Map.groupBy(gaps, (gap) => phaseOf(gap, times));
  const of = (phase: Phase): readonly Gap[] => byPhase.get(phase) ?? [];
  const perPhase = (figure: (gaps: readonly Gap[]) => number): PerPhase => ({
    before: figure(of('before')),
    during: figure(of('during')),
    after: figure(of('after')),
  });
  const first = flow.replies.find(({ at }) => at > times.restored);
  const silenceMs = perPhase((list) => Math.round(Math.max(0, ...list.map(lengthOf))));
  const last = of('after').at(-1);
  return {
    sent: perPhase((list) => list.reduce((sum, { sent }) => sum + sent, 0)),
    lost: perPhase((list) => list.reduce((sum, { lost }) => sum + lost, 0)),
    silenceMs,
    ...(first && { backMs: Math.round(first.at - times.restored) }),
    recovered: !of('during').some((gap) => gap.to > times.restored && lengthOf(gap) > STALLED_MS),
    fellSilent: last !== undefined && last.to >= times.ended && lengthOf(last) > usualMs(silenceMs),
  };
}

/** Milliseconds of silence that a flow may show where nothing fails. */
export function usualMs({ before }: PerPhase): number {
  return Math.max(STALLED_MS, before);
}

function lengthOf({ from, to }: Gap): number {
  return to - from;
}

/** What is still on its way at the end is not lost. */
function gapsOf({ sent, replies }: Flow, { begun, ended }: Times): Gap[] {
  let before: Reply = { sequence: 0, at: begun };
  const gaps = replies.map((reply): Gap => {
    const asked = reply.sequence - before.sequence;
    const gap = { from: before.at, to: reply.at, sent: asked, lost: asked - 1 };
    before = reply;
    return gap;
  });
  const isOver = ended - before.at > PATIENCE_MS;
  const asked = sent - before.sequence;
  return [...gaps, { from: before.at, to: ended, sent: asked, lost: isOver ? asked : 0 }];
}

/** A silence belongs to where its first missing answer does. */
function phaseOf({ from, to }: Gap, { failed, restored }: Times): Phase {
  if (to <= failed) return 'before';
  return from + PACE_MS < restored ? 'during' : 'after';
}
