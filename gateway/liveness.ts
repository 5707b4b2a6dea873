// One path as a state machine: what a probe's answer, or its absence, makes of it.
// This module is pure.

/**
 *                answer               `limit` misses in a row
 *     unknown ───────────▶   up   ───────────────────────────▶  down
 *        │                    ▲                                   │
 *        │                    └──────────────answer───────────────┘
 *        └── a miss leaves it unknown: it never carried anything, so there is nothing to take away
 *
 * A path that an earlier process had proven begins as `up`: it goes down by misses like any other.
 */
export type PathState = 'unknown' | 'up' | 'down';

/** What is known of one path. Times are milliseconds on one monotonic clock. */
export interface Path {
  readonly state: PathState;
  /** When it came into this state. */
  readonly since: number;
  /** Probes without an answer since the last answer, or since it began. */
  readonly misses: number;
  /** Round trip of the last answer in milliseconds. */
  readonly rttMs?: number;
  /** Since when the far kernel refuses what the far daemon does not answer. Absent: the daemon answered last. */
  readonly refusedSince?: number;
}

/** Misses in a row that end a path. At {@link probeDelay}'s pace that is within 4 s of the first lost packet. */
export const MISS_LIMIT = 6;

/** Pace while nothing is wrong, ms. */
const IDLE_MS = 1000;
/** Pace while a path is in doubt or young, ms. */
const DOUBT_MS = 250;
/** Misses after which a path that does not answer is asked at the idle pace again. */
const PATIENCE = 20;

/** A path nobody has probed yet; `proven` where an earlier process had it up. */
export function newPath(now: number, proven: boolean): Path {
  return { state: proven ? 'up' : 'unknown', since: now, misses: 0 };
}

/** After an answer that took `rttMs`. */
export function answered(path: Path, now: number, rttMs: number): Path {
  return { state: 'up', since: path.state === 'up' ? path.since : now, misses: 0, rttMs };
}

/** After a far kernel has said that nobody listens: tunnel and kernel work, and a daemon may be stopped for a while. */
export function refused(path: Path, now: number): Path {
  const { rttMs, refusedSince = now } = path;
  const since = path.state === 'up' ? path.since : now;
  return { state: 'up', since, misses: 0, refusedSince, ...(rttMs === undefined ? {} : { rttMs }) };
}

/** After a probe that nobody answered. */
export function missed(path: Path, now: number): Path {
  const misses = path.misses + 1;
  const ends = path.state === 'up' && misses >= MISS_LIMIT;
  return ends ? { state: 'down', since: now, misses } : { ...path, misses };
}

/** Round trips that pass before a path in doubt is asked again: an answer that only takes its time is no miss. */
const ROUND_TRIPS = 1.5;

/**
 * Milliseconds from one probe to the next: a path in doubt is asked more often, a quiet or long dead one once a second.
 * `stretch` slows all down alike, where one process has more paths than it can ask at that pace.
 */
export function probeDelay(path: Path, stretch: number): number {
  const patience = Math.min(ROUND_TRIPS * (path.rttMs ?? 0), IDLE_MS);
  return (isDoubted(path) ? Math.max(DOUBT_MS, patience) : IDLE_MS) * stretch;
}

/** Whether a path is young, or has just missed: one that is worth some effort to find out. */
export function isDoubted({ state, misses }: Path): boolean {
  return state === 'up' ? misses > 0 : misses < PATIENCE;
}

/** First wait of a path that does not answer until its tunnel is made anew, ms; then twice as long each time. */
const FIRST_KICK_MS = 1000;
const LAST_KICK_MS = 64_000;

/** Milliseconds that a silent path waits for its `attempt`-th kick (0 is the first). `random` in [0, 1) keeps two ends from kicking in step. */
export function kickDelay(attempt: number, random: number): number {
  return Math.min(FIRST_KICK_MS * 2 ** attempt, LAST_KICK_MS) * (1 + random / 2);
}
