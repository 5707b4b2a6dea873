// One bare machine for kernel tests: a network namespace and a /run of its own, gone with the process that holds them.

import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Run } from '#lib/linux';
import { inNamespace, runCommand } from '#lib/linux';

/** It ends when its stdin does, so also when this process is killed. */
const HOLD = `mount -t tmpfs tmpfs /run && mkdir -p /run/wireguard && ip link set lo up && echo ready && exec cat`;

/** Where the same address and route may stand on every machine of a test at once. */
export class Machine {
  readonly run: Run;
  /** A state directory of its own. */
  readonly stateDir: string;
  readonly pid: number;
  readonly #holder: ChildProcessByStdio<Writable, Readable, null>;

  private constructor(holder: ChildProcessByStdio<Writable, Readable, null>, pid: number, stateDir: string) {
    this.#holder = holder;
    this.pid = pid;
    this.stateDir = stateDir;
    this.run = inNamespace(runCommand, pid);
  }

  static async start(): Promise<Machine> {
    const flags = ['--net', '--mount', '--propagation', 'private'];
    const holder = spawn('unshare', [...flags, 'sh', '-c', HOLD], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data', { signal: AbortSignal.timeout(10_000) });
    if (holder.pid === undefined) throw new Error('Cannot start a machine: unshare did not run');
    return new Machine(holder, holder.pid, await mkdtemp(join(tmpdir(), 'isthmus-machine-')));
  }

  /** Runs one line of shell. */
  sh(line: string): Promise<string> {
    return this.run({ argv: ['sh', '-c', line] });
  }

  /** Joins two machines by a veth of this name on both. */
  async wire(other: Machine, device: string): Promise<void> {
    await this.sh(`ip link add name ${device} type veth peer name ${device} netns ${other.pid}`);
  }

  /** Ids of processes that run in this machine under this name. */
  async pids(name: string): Promise<number[]> {
    const { ino } = await stat(`/proc/${this.pid}/ns/net`);
    const all = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number);
    const here = await Promise.all(
      all.map(async (pid) => {
        const comm = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
        if (comm.trim() !== name) return [];
        const net = await stat(`/proc/${pid}/ns/net`).catch(() => undefined);
        return net?.ino === ino ? [pid] : [];
      }),
    );
    return here.flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of await this.pids('wireguard-go')) process.kill(pid, 'SIGKILL');
    this.#holder.stdin.end();
    if (this.#holder.exitCode === null) await once(this.#holder, 'exit');
    await rm(this.stateDir, { recursive: true, force: true });
  }
}

/** Waits until `probe` gives true, at most `timeoutMs`. */
export async function eventually(probe: () => Promise<boolean>, timeoutMs = 5000): Promise<boolean> {
  const end = Date.now() + timeoutMs;
  while (Date.now() < end) {
    if (await probe()) return true;
    await delay(50);
  }
  return false;
}
