// Asks every tunnel of this gateway whether its far end answers.

import { answered, isDoubted, kickDelay, missed, newPath, probeDelay, refused } from './liveness.ts';
import type { Path } from './liveness.ts';
import { Probes } from '#lib/probe';
import type { Ends, Ignored, ProbePeer, Speech } from '#lib/probe';
import type { PrivateKey } from '#lib/wireguard';
import type { TunnelId, TunnelPlan } from '#topology';

/** One tunnel under watch. */
interface Watch {
  tunnel: TunnelPlan;
  path: Path;
  /** When it is asked next. */
  due: number;
  /** How many questions there were, and those without an answer since the last one that had one. */
  asked: number;
  readonly questions: Set<number>;
  /** Kicks since it last answered, and when the next one is due. */
  kicks: number;
  kickAt: number;
}

export interface ProberOptions {
  /** A tunnel came up or went down. */
  readonly changed: (tunnel: TunnelId, path: Path) => void;
  /** A tunnel stays silent: make its peer anew. WireGuard's own retry takes 5 to 15 s. */
  readonly kick: (tunnel: TunnelPlan) => void;
  /** Own keys by lane, which seal the probes. */
  readonly keys: () => readonly PrivateKey[];
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** Milliseconds between looks at what is due: the pace's resolution. */
const TICK_MS = 50;
/** Probes a second that one process sends before it slows all of them down: a tenth of one core. */
const MOST_A_SECOND = 2000;
/** Questions that may be out at once: a path in doubt is asked again before a far end can have answered. */
const MOST_QUESTIONS = 8;

/** The prober of one gateway. Starts with the first {@link Prober.watch}, ends with its disposal. */
export class Prober implements Disposable {
  readonly #options: Required<ProberOptions>;
  readonly #watches = new Map<TunnelId, Watch>();
  readonly #probes: Probes<TunnelId>;
  #timer: NodeJS.Timeout | undefined;
  #looked = 0;

  constructor({ now = () => performance.now(), random = Math.random, ...options }: ProberOptions) {
    this.#options = { ...options, now, random };
    this.#probes = new Probes({
      onAnswer: ({ id, question, rttMs }) => this.#answer(id, question.sequence, rttMs),
      onTold: () => {},
      onRefused: (id) => this.#refused(id),
      speak: (id) => this.#speak(id),
      now,
    });
  }

  /**
   * Forgets what is known of those of these tunnels that have another far end now: it was known of the former one.
   *
   * @returns whether one of them was up
   */
  renew(tunnels: readonly TunnelPlan[]): boolean {
    let wasUp = false;
    for (const tunnel of tunnels) {
      const watch = this.#watches.get(tunnel.id);
      if (watch === undefined || isSame(watch.tunnel, tunnel)) continue;
      wasUp ||= watch.path.state === 'up';
      this.#watches.delete(tunnel.id);
    }
    return wasUp;
  }

  /**
   * Watches exactly these tunnels. What is known of those that stay is kept; new ones among `proven` begin as up, but for
   * those that had another far end before.
   */
  watch(tunnels: readonly TunnelPlan[], proven: ReadonlySet<TunnelId>): void {
    const now = this.#options.now();
    const before = new Set(this.#watches.keys());
    this.renew(tunnels);
    const wanted = new Set(tunnels.map(({ id }) => id));
    for (const id of this.#watches.keys()) if (!wanted.has(id)) this.#watches.delete(id);
    const fresh = tunnels.filter(({ id }) => !this.#watches.has(id));
    for (const tunnel of fresh) {
      const isProven = proven.has(tunnel.id) && !before.has(tunnel.id);
      this.#watches.set(tunnel.id, this.#begin(now, tunnel, { isProven, fresh: fresh.length }));
    }
    for (const tunnel of tunnels) {
      const watch = this.#watches.get(tunnel.id);
      if (watch !== undefined) watch.tunnel = tunnel;
    }
    const keys = this.#options.keys();
    this.#probes.hold(tunnels.flatMap((tunnel) => peerOf(tunnel, keys)));
    this.#start(now);
  }

  /** Tunnels whose far end answers. */
  healthy(): ReadonlySet<TunnelId> {
    return new Set([...this.#watches].filter(([, { path }]) => path.state === 'up').map(([id]) => id));
  }

  paths(): ReadonlyMap<TunnelId, Path> {
    return new Map([...this.#watches].map(([id, { path }]) => [id, path]));
  }

  /** Own addresses that probes cannot be sent from, and why. */
  refused(): ReadonlyMap<string, string> {
    return this.#probes.refused();
  }

  /** Datagrams that changed nothing, by reason. */
  ignored(): ReadonlyMap<Ignored, number> {
    return this.#probes.ignored();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#probes[Symbol.dispose]();
  }

  #start(now: number): void {
    if (this.#timer !== undefined) return;
    this.#looked = now;
    this.#timer = setInterval(() => this.#look(), TICK_MS);
  }

  /** Not all are asked in the same instant: the answers to a thousand questions would overrun a socket's buffer. */
  #begin(now: number, tunnel: TunnelPlan, { isProven, fresh }: { isProven: boolean; fresh: number }): Watch {
    const { random } = this.#options;
    const path = newPath(now, isProven);
    const spreadMs = isProven ? probeDelay(path, 1) : (1000 * fresh) / MOST_A_SECOND;
    const kickAt = now + kickDelay(0, random());
    const due = now + spreadMs * random();
    return { tunnel, path, due, asked: 0, questions: new Set(), kicks: 0, kickAt };
  }

  #look(): void {
    const now = this.#options.now();
    // A process that was itself late cannot tell a lost answer from one that it has not read yet.
    const late = now - this.#looked > 5 * TICK_MS;
    this.#looked = now;
    this.#probes.tend();
    const stretch = Math.max(1, this.#watches.size / MOST_A_SECOND);
    for (const watch of this.#watches.values()) {
      if (watch.due > now) continue;
      if (watch.questions.size > 0 && !late) this.#miss(watch, now);
      this.#ask(watch);
      // Unevenly, so that those which began together do not stay together.
      watch.due = now + probeDelay(watch.path, stretch) * (0.9 + 0.2 * this.#options.random());
    }
  }

  #ask(watch: Watch): void {
    const { path, questions, tunnel } = watch;
    const { id } = tunnel;
    // By a socket of its own from the first miss on, until it answers or has been silent for long.
    if (!isDoubted(path) && path.refusedSince === undefined) this.#probes.attend(id, false);
    else if (path.misses > 0) this.#probes.attend(id, true);
    watch.asked += 1;
    questions.add(watch.asked);
    this.#probes.ask(id, { sequence: watch.asked, kind: 'small' });
    const [oldest] = questions;
    if (oldest !== undefined && questions.size > MOST_QUESTIONS) questions.delete(oldest);
  }

  #speak(id: TunnelId): Speech {
    const state = this.#watches.get(id)?.path.state ?? 'unknown';
    return { hears: HEARS[state], impaired: false, draining: false };
  }

  #refused(id: TunnelId): void {
    const watch = this.#watches.get(id);
    if (watch === undefined) return;
    watch.questions.clear();
    this.#settle(watch, refused(watch.path, this.#options.now()));
  }

  #settle(watch: Watch, path: Path): void {
    const before = watch.path.state;
    watch.kicks = 0;
    watch.path = path;
    if (before !== 'up') this.#options.changed(watch.tunnel.id, path);
  }

  #miss(watch: Watch, now: number): void {
    const before = watch.path.state;
    watch.path = missed(watch.path, now);
    if (watch.path.state !== before) {
      watch.kickAt = now + kickDelay(0, this.#options.random());
      this.#options.changed(watch.tunnel.id, watch.path);
    }
    if (watch.path.state === 'up' || now < watch.kickAt) return;
    watch.kicks += 1;
    watch.kickAt = now + kickDelay(watch.kicks, this.#options.random());
    this.#options.kick(watch.tunnel);
  }

  /** An answer to a question that a later one has answered already says nothing new. */
  #answer(id: TunnelId, sequence: number, rttMs: number): void {
    const watch = this.#watches.get(id);
    if (watch?.questions.has(sequence) !== true) return;
    for (const question of watch.questions) if (question <= sequence) watch.questions.delete(question);
    this.#settle(watch, answered(watch.path, this.#options.now(), rttMs));
  }
}

const HEARS = { unknown: 'unknown', up: 'yes', down: 'no' } as const;

/** None while there is no key for its lane: it stays silent until there is. */
function peerOf({ id, peer, local, remote }: TunnelPlan, keys: readonly PrivateKey[]): ProbePeer<TunnelId>[] {
  const own = keys[Number(id.slice(id.lastIndexOf('#') + 1))];
  if (own === undefined) return [];
  const ends = local.flatMap((address, at): Ends[] => {
    const far = remote[at];
    return far === undefined ? [] : [{ local: address, remote: far }];
  });
  return [{ id, ends, secret: { own, peer } }];
}

/** The same far end, asked from the same address. */
function isSame(a: TunnelPlan, b: TunnelPlan): boolean {
  return a.peer === b.peer && a.local[0] === b.local[0] && a.remote[0] === b.remote[0];
}
