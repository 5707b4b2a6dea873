// Listens on the lab's wires while something happens.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from './lab.ts';

export interface CaptureOptions {
  /** As tcpdump reads it: `net 10.0.0.0/8 or net fd10::/16`. */
  readonly filter: string;
  /** @default internet */
  readonly place?: string;
  /** @default any */
  readonly device?: string;
}

/** A running capture. */
export class Capture implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #packets: string[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves once packets are being seen. */
  static async start(lab: Lab, options: CaptureOptions): Promise<Capture> {
    const [program, ...prefix] = await lab.place(options.place ?? 'internet').entry();
    const flags = ['-l', '-nn', '--immediate-mode', '-i', options.device ?? 'any', options.filter];
    const child = spawn(program, [...prefix, 'tcpdump', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
    const capture = new Capture(child);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let said = '';
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line !== '') capture.#packets.push(line);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('listening on')) resolve();
    });
    child.on('error', reject);
    child.on('close', () => reject(new Error(`Cannot capture "${options.filter}": ${said.trim()}`)));
    await promise;
    return capture;
  }

  /** One line a packet so far, as tcpdump prints it. */
  get packets(): readonly string[] {
    return this.#packets;
  }

  /** Ends the capture and gives all that it saw. */
  async stop(): Promise<readonly string[]> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      // What the kernel has already handed over is printed first.
      await sleep(50);
      const closed = once(this.#child, 'close');
      this.#child.kill('SIGINT');
      await closed;
    }
    return this.#packets;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
