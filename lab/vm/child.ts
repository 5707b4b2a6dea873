// A helper process that takes what time nobody else wants, and ends with this one at the latest, also if this one is killed.

import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs/promises';

/** The lowest niceness. */
const LEAST = '19';

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
    const polite = ['nice', '-n', LEAST, ...argv];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...polite], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    // A kernel with autogroups gives its time to groups, whatever the niceness of their processes: a group has one itself.
    if (child.pid !== undefined) fs.writeFile(`/proc/${child.pid}/autogroup`, LEAST).catch(() => {});
    return new Child(child);
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
