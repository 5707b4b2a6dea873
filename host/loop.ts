// One pass after another, never two at once: woken by events, repeated for safety, slower after failures.

/** What a pass asks for: another one after so many milliseconds at most, the next event's, or the end of the loop. */
export interface Again {
  readonly againMs?: number;
  readonly done?: true;
}

export interface LoopOptions {
  /** Looks at everything and makes it right. It is told nothing of why it was woken. */
  readonly pass: () => Promise<Again>;
  /** A pass threw: it is repeated after a while that grows from 0.2 s to 5 s. */
  readonly failed: (error: unknown) => void;
  /** Milliseconds between passes that nothing asked for. @default 30000 */
  readonly periodMs?: number;
  readonly signal: AbortSignal;
}

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 5000;

/** A level-triggered loop. */
export class Loop {
  readonly #options: LoopOptions;
  #due = 0;
  /** No pass before this time: the last one failed. */
  #notBefore = 0;
  #woken = Promise.withResolvers<void>();

  constructor(options: LoopOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#woken.resolve(), { once: true });
  }

  /** Asks for a pass within `delayMs`. Calls while one runs ask for one more. */
  wake(delayMs = 0): void {
    this.#due = Math.min(this.#due, performance.now() + delayMs);
    this.#woken.resolve();
  }

  /** Runs until the signal aborts or a pass is the last; the first pass begins at once, a pass that runs is finished. */
  async run(): Promise<void> {
    const { pass, failed, periodMs = 30_000, signal } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      this.#due = Number.POSITIVE_INFINITY;
      try {
        const { againMs = periodMs, done } = await pass();
        if (done === true) return;
        failures = 0;
        this.#notBefore = 0;
        this.#due = Math.min(this.#due, performance.now() + Math.min(againMs, periodMs));
      } catch (error) {
        failed(error);
        this.#notBefore = performance.now() + Math.min(FIRST_RETRY_MS * 2 ** failures, LAST_RETRY_MS);
        this.#due = this.#notBefore;
        failures += 1;
      }
      await this.#rest();
    }
  }

  async #rest(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      const left = Math.max(this.#due, this.#notBefore) - performance.now();
      if (left <= 0) return;
      const timer = setTimeout(() => this.#woken.resolve(), left);
      await this.#woken.promise;
      clearTimeout(timer);
      this.#woken = Promise.withResolvers<void>();
    }
  }
}
