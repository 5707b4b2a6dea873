// Asks every tunnel of this gateway whether its far end answers.

import { randomBytes } from 'node:crypto';
import { answered, kickDelay, missed, newPath, probeDelay } from '#lib/health';
import type { Path } from '#lib/health';
import type { TunnelId, TunnelPlan } from '#topology';
import { ProbeSockets } from './responder.ts';

/** One tunnel under watch. */
interface Watch {
  tunnel: TunnelPlan;
  path: Path;
  /** When it is asked next. */
  due: number;
  /** The question that is out. */
  nonce: bigint | undefined;
  asked: number;
  /** Kicks since it last answered, and when the next one is due. */
  kicks: number;
  kickAt: number;
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

/** The prober of one gateway. Starts with {@link Prober.start}, ends with its disposal. */
export class Prober implements Disposable {
  readonly #options: Required<ProberOptions>;
  readonly #watches = new Map<TunnelId, Watch>();
  readonly #byRemote = new Map<string, Watch>();
  readonly #sockets = new ProbeSockets((from, nonce) => this.#answer(from, nonce));
  #addresses: ReadonlySet<string> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #looked = 0;

  constructor({ changed, kick, now = () => performance.now(), random = Math.random }: ProberOptions) {
    this.#options = { changed, kick, now, random };
  }

  start(): void {
    this.#looked = this.#options.now();
    this.#timer ??= setInterval(() => this.#look(), TICK_MS);
  }

  /**
   * Watches exactly these tunnels. What is known of those that stay is kept; new ones among `proven` begin as up. One
   * whose peer is another now is new, and proven by nothing.
   */
  watch(tunnels: readonly TunnelPlan[], proven: ReadonlySet<TunnelId>): void {
    const now = this.#options.now();
    const wanted = new Set(tunnels.map(({ id }) => id));
    for (const id of this.#watches.keys()) if (!wanted.has(id)) this.#watches.delete(id);
    this.#byRemote.clear();
    for (const tunnel of tunnels) {
      const watch =
        this.#continued(now, tunnel) ?? begin(now, proven.has(tunnel.id), tunnel, this.#options.random);
      watch.tunnel = tunnel;
      this.#watches.set(tunnel.id, watch);
      const remote = tunnel.remote[0];
      if (remote !== undefined) this.#byRemote.set(remote, watch);
    }
    this.#addresses = new Set(tunnels.flatMap(({ local }) => local));
    this.#sockets.sync(this.#addresses);
  }

  /** Tunnels whose far end answers. */
  healthy(): ReadonlySet<TunnelId> {
    return new Set([...this.#watches].filter(([, { path }]) => path.state === 'up').map(([id]) => id));
  }

  paths(): ReadonlyMap<TunnelId, Path> {
    return new Map([...this.#watches].map(([id, { path }]) => [id, path]));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#sockets.close();
  }

  #continued(now: number, tunnel: TunnelPlan): Watch | undefined {
    const before = this.#watches.get(tunnel.id);
    if (before === undefined || before.tunnel.peer === tunnel.peer) return before;
    const { changed, random } = this.#options;
    const watch = begin(now, false, tunnel, random);
    if (before.path.state === 'up') changed(tunnel.id, watch.path);
    return watch;
  }

  #look(): void {
    const now = this.#options.now();
    // A process that was itself late cannot tell a lost answer from one that it has not read yet.
    const late = now - this.#looked > 5 * TICK_MS;
    this.#looked = now;
    this.#sockets.sync(this.#addresses);
    const stretch = Math.max(1, this.#watches.size / MOST_A_SECOND);
    for (const watch of this.#watches.values()) {
      if (watch.due > now) continue;
      if (watch.nonce !== undefined && !late) this.#miss(watch, now);
      this.#ask(watch, now);
      watch.due = now + probeDelay(watch.path, stretch);
    }
  }

  #ask(watch: Watch, now: number): void {
    const { local, remote } = watch.tunnel;
    if (local[0] === undefined || remote[0] === undefined) return;
    watch.nonce = randomBytes(8).readBigUInt64BE();
    watch.asked = now;
    this.#sockets.ask(local[0], remote[0], watch.nonce);
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
    if (watch === undefined || watch.nonce !== nonce) return;
    const now = this.#options.now();
    const before = watch.path.state;
    watch.nonce = undefined;
    watch.kicks = 0;
    watch.path = answered(watch.path, now, now - watch.asked);
    if (before !== 'up') this.#options.changed(watch.tunnel.id, watch.path);
  }
}

function begin(now: number, isProven: boolean, tunnel: TunnelPlan, random: () => number): Watch {
  const path = newPath(now, isProven);
  // Proven paths have time: at a restart not all are asked in the same instant.
  const due = isProven ? now + probeDelay(path, 1) * random() : now;
  return { tunnel, path, due, nonce: undefined, asked: now, kicks: 0, kickAt: now + kickDelay(0, random()) };
}
