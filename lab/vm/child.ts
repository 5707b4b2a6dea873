// A helper process that ends with this one at the latest, also if this one is killed.

import { spawn, type ChildProcess } from 'node:child_process';

export class Child implements AsyncDisposable {
  /** Resolves when it has ended and all that it said is here; never rejects. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  #said = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    child.stderr?.on('data', (chunk: Buffer) => this.#hear(chunk.toString()));
    child.on('error', (error) => {
      this.#hear(error.message);
      resolve();
    });
    child.on('close', () => resolve());
  }

  static start(argv: readonly [string, ...string[]]): Child {
    const stdio = ['ignore', 'ignore', 'pipe'] as const;
    return new Child(spawn('setpriv', ['--pdeathsig', 'KILL', ...argv], { stdio: [...stdio] }));
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined;
  }

  /** The end of what it complained of. */
  get said(): string {
    return this.#said.trim();
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.ended;
  }

  #hear(text: string): void {
    this.#said = `${this.#said}${text}`.slice(-8192);
  }
}
