// One of the two processes between which traffic flows, as the one who gives it orders holds it.

import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import * as v from 'valibot';
import type { Lab } from '../lab.ts';
import { Word, type Order } from './protocol.ts';

const PROGRAM = path.join(import.meta.dirname, 'main.ts');

/**
 * Before all that is measured, where that is allowed: what else the machine does to a generator is no property of the network. With one
 * thread each: with V8's helpers, two generators were seen to keep both cores to themselves for as long as they ran, and nothing else moved.
 */
const FIRST = 'chrt -f 1 true 2>/dev/null && exec chrt -f 1 "$@"; exec "$@"';
const FLAGS = ['--single-threaded', '--max-semi-space-size=4'] as const;

/** It ends with this object, and with the process that holds it: its stdin is a pipe from there. */
export class TrafficEnd implements AsyncDisposable {
  readonly pod: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #words: AsyncIterator<string>;
  #complaints = '';

  private constructor(pod: string, child: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.pod = pod;
    this.#child = child;
    this.#words = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stderr.on('data', (chunk: Buffer) => {
      this.#complaints = `${this.#complaints}${chunk.toString()}`.slice(-2000);
    });
    child.stdin.on('error', () => {});
  }

  /** Resolves once it takes traffic. */
  static async start(lab: Lab, pod: string): Promise<TrafficEnd> {
    const [program, ...prefix] = await lab.pod(pod).entry();
    const argv = [...prefix, 'sh', '-c', FIRST, 'sh', process.execPath, ...FLAGS, PROGRAM];
    const end = new TrafficEnd(pod, spawn(program, argv, { stdio: ['pipe', 'pipe', 'pipe'] }));
    await end.hear('ready', 15_000);
    return end;
  }

  tell(order: Order): void {
    this.#child.stdin.write(`${JSON.stringify(order)}\n`);
  }

  /** The next thing it says, which has to be this. */
  async hear<W extends Word['word']>(wanted: W, timeoutMs: number): Promise<Extract<Word, { word: W }>> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    const next = await this.#words.next();
    clearTimeout(timer);
    const word = next.done === true ? undefined : v.parse(Word, JSON.parse(next.value));
    if (word !== undefined && isWord(word, wanted)) return word;
    const why = word?.word === 'failed' ? word.why : this.#complaints.trim();
    throw new Error(
      `Cannot send traffic from "${this.pod}": not "${wanted}" within ${timeoutMs} ms. ${why}`.trim(),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }
}

function isWord<W extends Word['word']>(word: Word, wanted: W): word is Extract<Word, { word: W }> {
  return word.word === wanted;
}
