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
import { qemuArgv, type Accelerator } from './qemu.ts';

export interface VmOptions extends GuestCommand {
  /** @default kvm where it works, else tcg */
  readonly accelerator?: Accelerator;
  /** Taken from this machine only as it is used. @default 3072 */
  readonly memoryMiB?: number;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Ends the machine. */
  readonly signal?: AbortSignal;
}

/** A working KVM takes two seconds. Emulation takes six, and a hundred have been seen on a very busy machine. */
const BOOT_MS = { kvm: 20_000, tcg: 300_000 } as const;
const PREFIX = 'isthmus-vm-';
/** Lines of the console that are worth showing. */
const LAST_LINES = 20;

/** The machine ended before its command did. */
export class VmError extends Error {
  override readonly name = 'VmError';
  /** Whether the command was begun. */
  readonly isUp: boolean;

  constructor(message: string, isUp: boolean) {
    super(message);
    this.isUp = isUp;
  }
}

/**
 * Boots, runs the command, and gives its exit status. Files that it writes are gone with the machine.
 * @throws {VmError} with what the machine said last
 */
export async function runVm(options: VmOptions): Promise<number> {
  if (options.accelerator !== undefined) return await runOn(options, options.accelerator);
  if (!(await canOpenKvm())) return await runOn(options, 'tcg');
  try {
    return await runOn(options, 'kvm');
  } catch (error) {
    if (!(error instanceof VmError) || error.isUp) throw error;
    options.stderr.write('KVM does not work on this machine: taking software emulation\n');
    return await runOn(options, 'tcg');
  }
}

/** Whether it works, the boot shows. */
async function canOpenKvm(): Promise<boolean> {
  return await fs.open('/dev/kvm', 'r+').then(
    (file) => file.close().then(() => true),
    () => false,
  );
}

async function runOn(options: VmOptions, accelerator: Accelerator): Promise<number> {
  const { signal } = options;
  const status = new Status();
  const said = await emulate(options, accelerator, status);
  signal?.throwIfAborted();
  const { isUp, exit } = status.value;
  if (exit !== undefined) return exit;
  const did = isUp ? 'ended before its command did' : 'did not start';
  throw new VmError(`The virtual machine (${accelerator}) ${did}: ${said}`, isUp);
}

/** From the first process to the end of the last. Gives what the emulator and the machine's console said last. */
async function emulate(options: VmOptions, accelerator: Accelerator, status: Status): Promise<string> {
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
  const machine = { accelerator, memoryMiB, image, initrd, directory: directory.path };
  const qemu = stack.use(Child.start(qemuArgv(machine)));
  await ending(qemu, status, BOOT_MS[accelerator], options.signal);
  // Whatever came out of it has been handed on then.
  await stack.disposeAsync();
  const console = await fs.readFile(directory.file('console'), 'utf8').catch(() => '');
  return lastLines(`${qemu.said}\n${console}`);
}

/** Waits for the machine's end, and brings it about where nothing else will. */
async function ending(qemu: Child, status: Status, bootMs: number, signal?: AbortSignal): Promise<void> {
  const stop = (): void => qemu.kill();
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop);
  const deadline = setTimeout(() => {
    if (!status.value.isUp) stop();
  }, bootMs);
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
