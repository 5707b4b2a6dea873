// A virtual machine that runs one command on this machine's root, and leaves nothing of itself.

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { PassThrough, type Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { findKernel, findVirtiofsd } from '#setup';
import { Child } from './child.ts';
import { parseStatus, type GuestCommand, type GuestStatus } from './guest.ts';
import { makeInitrd } from './initrd.ts';
import { Port } from './port.ts';
import { qemuArgv } from './qemu.ts';

export interface VmOptions extends GuestCommand {
  /** Taken from this machine only as it is used. @default 3072 */
  readonly memoryMiB?: number;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Ends the machine. */
  readonly signal?: AbortSignal;
}

/** It takes six seconds, and a hundred have been seen on a very busy machine. */
const BOOT_MS = 300_000;
const PREFIX = 'isthmus-vm-';
/** Lines of the console that are worth showing. */
const LAST_LINES = 20;

/**
 * Boots, runs the command, and gives its exit status. Files that it writes are gone with the machine.
 * @throws {Error} with what the machine said last, if it ended before its command did
 */
export async function runVm(options: VmOptions): Promise<number> {
  const { signal } = options;
  const status = new Status();
  const said = await emulate(options, status);
  signal?.throwIfAborted();
  const { isUp, exit } = status.value;
  if (exit !== undefined) return exit;
  const did = isUp ? 'ended before its command did' : 'did not start';
  throw new Error(`The virtual machine ${did}: ${said}`);
}

/** From the first process to the end of the last. Gives what the emulator and the machine's console said last. */
async function emulate(options: VmOptions, status: Status): Promise<string> {
  const { memoryMiB = 3072, stdout, stderr } = options;
  const kernel = await findKernel();
  if (kernel === undefined) throw new Error('Cannot start a virtual machine: no kernel was fetched for it');
  await using directory = await Directory.make();
  const initrd = directory.file('initrd');
  await fs.writeFile(initrd, await makeInitrd(kernel, options));
  await using stack = new AsyncDisposableStack();
  stack.use(await Port.listen(directory.file('stdout'), stdout));
  stack.use(await Port.listen(directory.file('stderr'), stderr));
  stack.use(await Port.listen(directory.file('status'), status.stream));
  stack.use(await shareRoot(directory.file('root')));
  const { image } = kernel;
  const machine = { memoryMiB, image, initrd, directory: directory.path };
  const qemu = stack.use(Child.start(qemuArgv(machine)));
  await ending(qemu, status, options.signal);
  // Whatever came out of it has been handed on then.
  await stack.disposeAsync();
  const console = await fs.readFile(directory.file('console'), 'utf8').catch(() => '');
  return lastLines(`${qemu.said}\n${console}`);
}

/** Waits for the machine's end, and brings it about where nothing else will. */
async function ending(qemu: Child, status: Status, signal?: AbortSignal): Promise<void> {
  const stop = (): void => qemu.kill();
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop);
  const deadline = setTimeout(() => {
    if (!status.value.isUp) stop();
  }, BOOT_MS);
  await qemu.ended;
  clearTimeout(deadline);
  signal?.removeEventListener('abort', stop);
}

/** Collects what the guest says of itself. */
class Status {
  readonly stream = new PassThrough();
  #said = '';

  constructor() {
    this.stream.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
  }

  get value(): GuestStatus {
    return parseStatus(this.#said);
  }
}

/** Starts the daemon that shows this machine's root to the virtual one, and waits until it listens. */
async function shareRoot(socket: string): Promise<Child> {
  const program = await findVirtiofsd();
  if (program === undefined)
    throw new Error('Cannot share the root with a virtual machine: virtiofsd is not installed');
  const options = ['source=/', 'cache=always', 'sandbox=chroot'].flatMap((option) => ['-o', option]);
  const child = Child.start([program, `--socket-path=${socket}`, ...options]);
  while (!child.hasEnded) {
    if (await exists(socket)) return child;
    await sleep(20);
  }
  await child.ended;
  throw new Error(`Cannot share the root with a virtual machine: ${child.said}`);
}

async function exists(file: string): Promise<boolean> {
  return await fs.access(file).then(
    () => true,
    () => false,
  );
}

/** A directory of its own, whose path is short enough for sockets. */
class Directory implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Those that killed runs left are cleared. */
  static async make(): Promise<Directory> {
    const below = os.tmpdir();
    for (const name of await fs.readdir(below)) {
      const [pid = ''] = name.startsWith(PREFIX) ? name.slice(PREFIX.length).split('-') : [];
      if (pid !== '' && !(await exists(`/proc/${pid}`)))
        await fs.rm(path.join(below, name), { recursive: true, force: true });
    }
    return new Directory(await fs.mkdtemp(path.join(below, `${PREFIX}${process.pid}-`)));
  }

  file(name: string): string {
    return path.join(this.path, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await fs.rm(this.path, { recursive: true, force: true });
  }
}

/** Without a terminal's codes. */
function lastLines(text: string): string {
  return stripVTControlCharacters(text).replaceAll('\r', '').trim().split('\n').slice(-LAST_LINES).join('\n');
}
