// Asks every tunnel of this gateway whether its far end answers.

import { randomBytes } from 'node:crypto';
import { answered, isDoubted, kickDelay, missed, newPath, probeDelay, refused } from '#lib/health';
import type { Path } from '#lib/health';
import type { TunnelId, TunnelPlan } from '#topology';
import { Inquiry } from './inquiry.ts';
import { ProbeSockets } from './responder.ts';

/** One tunnel under watch. */
interface Watch {
  tunnel: TunnelPlan;
  path: Path;
  /** When it is asked next. */
  due: number;
  /** Questions without an answer since the last one that had one, with their times, oldest first. */
  readonly questions: Map<bigint, number>;
  /** Kicks since it last answered, and when the next one is due. */
  kicks: number;
  kickAt: number;
  /** While it does not answer. */
  inquiry: Inquiry | undefined;
}

export interface ProberOptions {
  /** A tunnel came up or went down. */
  readonly changed: (tunnel: TunnelId, path: Path) => void;
  /** A tunnel stays silent: make its peer anew. WireGuard's own retry takes 5 to 15 s. */
  readonly kick: (tunnel: TunnelPlan) => void;
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
/** Tunnels that may have a socket of their own at once: the gateways of four clusters whose daemons are stopped. */
const MOST_INQUIRIES = 256;

/** The prober of one gateway. Starts with the first {@link Prober.watch}, ends with its disposal. */
export class Prober implements Disposable {
  readonly #options: Required<ProberOptions>;
  readonly #watches = new Map<TunnelId, Watch>();
  readonly #byRemote = new Map<string, Watch>();
  readonly #sockets = new ProbeSockets((from, nonce) => this.#answer(from, nonce));
  #addresses: ReadonlySet<string> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #looked = 0;
  #inquiries = 0;

  constructor({ changed, kick, now = () => performance.now(), random = Math.random }: ProberOptions) {
    this.#options = { changed, kick, now, random };
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
      this.#end(watch);
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
    for (const [id, watch] of this.#watches) if (!wanted.has(id)) this.#end(watch);
    const fresh = tunnels.filter(({ id }) => !this.#watches.has(id));
    for (const tunnel of fresh) {
      const isProven = proven.has(tunnel.id) && !before.has(tunnel.id);
      this.#watches.set(tunnel.id, this.#begin(now, tunnel, { isProven, fresh: fresh.length }));
    }
    this.#byRemote.clear();
    for (const tunnel of tunnels) this.#find(tunnel);
    this.#addresses = new Set(tunnels.flatMap(({ local }) => local));
    this.#sockets.sync(this.#addresses, now);
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
    return this.#sockets.refused();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#sockets.close();
    for (const watch of this.#watches.values()) this.#quit(watch);
  }

  #end(watch: Watch): void {
    this.#quit(watch);
    this.#watches.delete(watch.tunnel.id);
  }

  #quit(watch: Watch): void {
    if (watch.inquiry === undefined) return;
    watch.inquiry[Symbol.dispose]();
    watch.inquiry = undefined;
    this.#inquiries -= 1;
  }

  #start(now: number): void {
    if (this.#timer !== undefined) return;
    this.#looked = now;
    this.#timer = setInterval(() => this.#look(), TICK_MS);
  }

  #find(tunnel: TunnelPlan): void {
    const watch = this.#watches.get(tunnel.id);
    const remote = tunnel.remote[0];
    if (watch === undefined) return;
    watch.tunnel = tunnel;
    if (remote !== undefined) this.#byRemote.set(remote, watch);
  }

  /** Not all are asked in the same instant: the answers to a thousand questions would overrun a socket's buffer. */
  #begin(now: number, tunnel: TunnelPlan, { isProven, fresh }: { isProven: boolean; fresh: number }): Watch {
    const { random } = this.#options;
    const path = newPath(now, isProven);
    const spreadMs = isProven ? probeDelay(path, 1) : (1000 * fresh) / MOST_A_SECOND;
    const kickAt = now + kickDelay(0, random());
    const due = now + spreadMs * random();
    return { tunnel, path, due, questions: new Map(), kicks: 0, kickAt, inquiry: undefined };
  }

  #look(): void {
    const now = this.#options.now();
    // A process that was itself late cannot tell a lost answer from one that it has not read yet.
    const late = now - this.#looked > 5 * TICK_MS;
    this.#looked = now;
    this.#sockets.sync(this.#addresses, now);
    const stretch = Math.max(1, this.#watches.size / MOST_A_SECOND);
    for (const watch of this.#watches.values()) {
      if (watch.due > now) continue;
      if (watch.questions.size > 0 && !late) this.#miss(watch, now);
      this.#ask(watch, now);
      // Unevenly, so that those which began together do not stay together.
      watch.due = now + probeDelay(watch.path, stretch) * (0.9 + 0.2 * this.#options.random());
    }
  }

  #ask(watch: Watch, now: number): void {
    const { tunnel, questions } = watch;
    const [[local], [remote]] = [tunnel.local, tunnel.remote];
    if (local === undefined || remote === undefined) return;
    const nonce = randomBytes(8).readBigUInt64BE();
    questions.set(nonce, now);
    const [oldest] = questions.keys();
    if (oldest !== undefined && questions.size > MOST_QUESTIONS) questions.delete(oldest);
    this.#inquire(watch, { local, remote });
    if (watch.inquiry?.ask(nonce) !== true) this.#sockets.ask(local, remote, nonce);
  }

  /** A tunnel that has missed an answer is asked by a socket of its own, until it answers or has been silent for long. */
  #inquire(watch: Watch, ends: { readonly local: string; readonly remote: string }): void {
    const { path } = watch;
    if (!isDoubted(path) && path.refusedSince === undefined) return this.#quit(watch);
    if (watch.inquiry !== undefined || path.misses === 0 || this.#inquiries >= MOST_INQUIRIES) return;
    const onAnswer = (from: string, nonce: bigint): void => this.#answer(from, nonce);
    watch.inquiry = new Inquiry({ ...ends, onAnswer, onRefused: () => this.#refused(watch) });
    this.#inquiries += 1;
  }

  #refused(watch: Watch): void {
    if (this.#watches.get(watch.tunnel.id) !== watch) return;
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

  #answer(from: string, nonce: bigint): void {
    const watch = this.#byRemote.get(from);
    const asked = watch?.questions.get(nonce);
    if (watch === undefined || asked === undefined) return;
    const now = this.#options.now();
    for (const [question, at] of watch.questions) if (at <= asked) watch.questions.delete(question);
    this.#quit(watch);
    this.#settle(watch, answered(watch.path, now, now - asked));
  }
}

/** The same far end, asked from the same address. */
function isSame(a: TunnelPlan, b: TunnelPlan): boolean {
  return a.peer === b.peer && a.local[0] === b.local[0] && a.remote[0] === b.remote[0];
}
