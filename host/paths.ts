// Asks along every path of this host, and says at once what changes.

import { Detector, TransitWatch, probeBudget } from '#lib/health';
import type {
  Change,
  ForwardVerdict,
  PathAsk,
  PathReport,
  PathSpec,
  TransitAsk,
  TransitSpec,
} from '#lib/health';
import { Probes } from '#lib/probe';
import type { Answer, Flags, Ignored, ProbePeer, Question, Speech } from '#lib/probe';
import { isSameTold, toldOf } from './told.ts';
import type { Told } from './told.ts';

/** One path: what is wanted of it, and whom it leads to. */
export interface ProbedPath {
  readonly spec: PathSpec;
  /** Its `id` is the spec's. */
  readonly peer: ProbePeer<string>;
}

/** Everything that one host probes and answers. */
export interface Probed {
  readonly paths: readonly ProbedPath[];
  /** Own addresses on which transit probes are answered. */
  readonly echoes?: ReadonlySet<string>;
  /** Remote gateways, asked whether they forward. */
  readonly gateways?: readonly TransitSpec[];
}

export interface PathsOptions {
  /** Something is otherwise than before: act first, and tell of the changes then. What far ends tell is no change of a path. */
  readonly changed: (changes: readonly Change[]) => void;
  /** These tunnels are silent: make them anew. */
  readonly kick: (paths: readonly string[]) => void;
  /** What this host tells of itself on a path. */
  readonly speak: (path: string) => Omit<Speech, 'hears'>;
  /** A healthy path to a gateway, and the address behind it; undefined where there is none. */
  readonly through?: (ask: TransitAsk) => { readonly path: string; readonly to: string } | undefined;
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** Milliseconds until more of those are told that the budget had nothing left for. */
const BACKLOG_MS = 10;
/** Milliseconds after an answer, or after asking for news, in which no news is asked for: whoever cries it, the budget is for more than that. */
const NEWS_MS = 20;
/** Milliseconds between attempts to open sockets that could not be had. */
const TEND_MS = 200;
/**
 * Milliseconds that a far kernel may answer in its daemon's place before other ways are preferred: longer than a restart takes.
 * Nobody there adapts to what changes any more, and a userspace WireGuard that hangs as well shows to nobody behind it.
 */
const HUNG_MS = 5000;
/** Milliseconds that a path may be silent before nobody waits for its far kernel's word any more. */
const PATIENCE_MS = 20_000;

/** The prober of one host. It does nothing before the first {@link Paths.hold}, and ends with its disposal. */
export class Paths implements Disposable {
  readonly #options: Required<PathsOptions>;
  readonly #probes: Probes<string>;
  readonly #detector: Detector;
  readonly #transit: TransitWatch;
  readonly #told = new Map<string, Told>();
  readonly #heardAt = new Map<string, number>();
  /** When news was last asked for. */
  readonly #curiousAt = new Map<string, number>();
  /** Whom paths lead to, as their specs say. */
  #fars = new Map<string, string>();
  readonly #budget = probeBudget();
  /** Paths that have yet to hear what this host tells of itself now. */
  readonly #unheard = new Set<string>();
  readonly #behind = new WeakMap<Question, TransitAsk>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;
  #tendAt = -Infinity;
  #announceAt = Infinity;
  #isOver = false;

  constructor({ now = () => performance.now(), random = Math.random, ...options }: PathsOptions) {
    const { speak, through = () => undefined } = options;
    this.#options = { ...options, through, now, random };
    const budget = this.#budget;
    this.#detector = new Detector({ now: now(), random, budget });
    const isReachable = (gateway: string): boolean =>
      through({ gateway, responder: 1, sequence: 0 }) !== undefined;
    this.#transit = new TransitWatch({ now: now(), random, budget, isReachable });
    this.#probes = new Probes({
      onAnswer: (answer) => this.#answered(answer),
      onTold: (id, flags, isNews) => this.#heard(id, flags, isNews),
      onRefused: (id) => this.#tell(this.#detector.refused(id, now())),
      speak: (id) => ({ ...speak(id), hears: this.#detector.hears(id) }),
      now,
    });
  }

  /** Probes exactly this. What is known of paths that stay is kept. */
  hold({ paths, echoes, gateways = [] }: Probed): void {
    const now = this.#options.now();
    const fars = new Map(paths.map(({ spec }) => [spec.id, spec.far]));
    for (const [id, far] of this.#fars) {
      if (fars.get(id) === far) continue;
      for (const known of [this.#told, this.#heardAt, this.#curiousAt, this.#unheard]) known.delete(id);
    }
    this.#fars = fars;
    this.#probes.hold(
      paths.map(({ peer }) => peer),
      echoes,
    );
    const specs = paths.map(({ spec }) => spec);
    this.#tell(this.#detector.watch(specs, now));
    this.#transit.watch(gateways, now);
    this.#arm();
  }

  /** Neighbours of paths, and clusters of gateways, that traffic flows to or from. */
  traffic(busy: { readonly neighbours: ReadonlySet<string>; readonly clusters: ReadonlySet<string> }): void {
    const now = this.#options.now();
    this.#detector.traffic(busy.neighbours, now);
    this.#transit.traffic(busy.clusters, now);
    this.#arm();
  }

  /** Asks all these once more, and has them ask, as soon as the budget allows: what this host tells of itself has changed. */
  announce(paths: Iterable<string>): void {
    for (const path of paths) this.#unheard.add(path);
    this.#announce(this.#options.now());
    this.#arm();
  }

  isUp(path: string): boolean {
    return this.#detector.isUp(path);
  }

  /** Up, and not in doubt. */
  isSound(path: string): boolean {
    return this.#detector.isSound(path);
  }

  /** Its far kernel answered last, in its daemon's place. */
  lacksDaemon(path: string): boolean {
    return this.#detector.path(path)?.refusals !== undefined;
  }

  /** Its far kernel has answered in its daemon's place for long. */
  isHung(path: string): boolean {
    const { refusals } = this.#detector.path(path) ?? {};
    return refusals !== undefined && this.#options.now() - refusals.since >= HUNG_MS;
  }

  reports(): Iterable<PathReport> {
    return this.#detector.reports();
  }

  report(path: string): PathReport | undefined {
    return this.#detector.report(path);
  }

  /** `unknown` counts as forwarding. */
  forwards(gateway: string): ForwardVerdict {
    return this.#transit.verdict(gateway);
  }

  told(path: string): Told | undefined {
    return this.#told.get(path);
  }

  /** Monotonic milliseconds of the last answer. */
  answeredAt(path: string): number | undefined {
    return this.#heardAt.get(path);
  }

  /** Own addresses that probes cannot be sent from, and why. */
  refused(): ReadonlyMap<string, string> {
    return this.#probes.refused();
  }

  /** Datagrams that changed nothing, by reason, since the beginning. */
  ignored(): ReadonlyMap<Ignored, number> {
    return this.#probes.ignored();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#probes[Symbol.dispose]();
  }

  #step(): void {
    const now = this.#options.now();
    this.#timerAt = Infinity;
    const { asks, changes, kicks } = this.#detector.step(now);
    const transit = this.#transit.step(now);
    this.#tell([...changes, ...transit.changes]);
    for (const ask of asks) this.#ask(ask, now);
    for (const ask of transit.asks) this.#askThrough(ask);
    if (kicks.length > 0) this.#options.kick(kicks);
    this.#announce(now);
    if (now >= this.#tendAt) {
      this.#tendAt = now + TEND_MS;
      this.#probes.tend();
    }
    this.#arm();
  }

  /** The answer decides nothing, so its sequence is no ask's. */
  #announce(now: number): void {
    for (const path of this.#unheard) {
      if (!this.#budget.take(now)) break;
      this.#unheard.delete(path);
      this.#probes.ask(path, { sequence: 0, kind: 'small', isNews: true });
    }
    this.#announceAt = this.#unheard.size > 0 ? now + BACKLOG_MS : Infinity;
  }

  /** Whatever is due first; sockets are tended in between. */
  #arm(): void {
    const at = Math.min(this.#detector.wakeAt, this.#transit.wakeAt, this.#tendAt, this.#announceAt);
    if (this.#isOver || at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#step(), Math.max(0, at - this.#options.now()));
  }

  #ask({ path, sequence, size }: PathAsk, now: number): void {
    if (size > 0) this.#probes.ask(path, { sequence, kind: 'full', size });
    else {
      this.#attend(path, now);
      this.#probes.ask(path, { sequence, kind: 'small' });
    }
  }

  /** Its far kernel is asked as well from the first miss on, until it answers or has been silent for long. */
  #attend(path: string, now: number): void {
    const known = this.#detector.path(path);
    if (known === undefined || known.misses === 0) return;
    const { state, since, refusals } = known;
    const isRecent = state === 'up' || now - since < PATIENCE_MS;
    this.#probes.attend(path, isRecent || refusals !== undefined);
  }

  #askThrough(ask: TransitAsk): void {
    const { path, to } = this.#options.through(ask) ?? {};
    if (path === undefined || to === undefined) return;
    const question: Question = { sequence: ask.sequence, kind: 'transit', to };
    this.#behind.set(question, ask);
    this.#probes.ask(path, question);
  }

  #answered({ id, question, flags, reach }: Answer<string>): void {
    const now = this.#options.now();
    const { sequence } = question;
    const behind = this.#behind.get(question);
    if (behind !== undefined) {
      this.#tell(this.#transit.answered(behind.gateway, behind, now));
      return;
    }
    this.#heardAt.set(id, now);
    const isNews = this.#note(id, { ...this.#told.get(id), ...flags, ...(reach && { reach }) });
    const size = question.kind === 'full' ? question.size : 0;
    const hears = flags?.hears ?? 'unknown';
    this.#tell(this.#detector.answered(id, { sequence, size, hears }, now), isNews);
  }

  #heard(id: string, flags: Flags, hasNews: boolean): void {
    const now = this.#options.now();
    if (hasNews) this.#askForNews(id, now);
    const isNews = this.#note(id, { ...this.#told.get(id), ...flags });
    this.#tell(this.#detector.heard(id, flags.hears, now), isNews);
  }

  /** One that cries news and does not answer is no reason to ask more often. */
  #askForNews(id: string, now: number): void {
    const last = Math.max(this.#heardAt.get(id) ?? -Infinity, this.#curiousAt.get(id) ?? -Infinity);
    if (now - last < NEWS_MS || !this.#budget.take(now)) return;
    this.#curiousAt.set(id, now);
    this.#probes.ask(id, { sequence: 0, kind: 'small' });
  }

  /** Whether it says something else of itself than before. */
  #note(id: string, said: Partial<Told>): boolean {
    const before = this.#told.get(id);
    const told = toldOf(said);
    this.#told.set(id, told);
    return !isSameTold(before, told);
  }

  #tell(changes: readonly Change[], isNews = false): void {
    if (changes.length > 0 || isNews) this.#options.changed(changes);
    this.#arm();
  }
}
