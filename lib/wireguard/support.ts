// Who makes WireGuard devices on this machine: the kernel, or wireguard-go in processes that outlive us.

import type { Run } from '#lib/linux';
import { WireGuardError } from './errors.ts';

export type WireGuardKind = 'kernel' | 'userspace';

/** Made and removed at once; the kernel loads its module for it. Not one of our names: no apply may mistake it. */
const PROBE_DEVICE = 'istprobe';
const PROGRAM = 'wireguard-go';

/**
 * Rejects with {@link WireGuardError}: `isForbidden` without root, `isUnsupported` where there is neither.
 */
export async function detectWireGuard(run: Run): Promise<WireGuardKind> {
  try {
    await run({ argv: ['ip', 'link', 'add', 'dev', PROBE_DEVICE, 'type', 'wireguard'] });
  } catch (cause) {
    const error = new WireGuardError('make a WireGuard device', cause);
    if (/File exists/.test(error.message)) return 'kernel';
    if (error.isForbidden) throw error;
    await findProgram(run, cause);
    return 'userspace';
  }
  await run({ argv: ['ip', 'link', 'del', 'dev', PROBE_DEVICE] });
  return 'kernel';
}

async function findProgram(run: Run, cause: unknown): Promise<void> {
  try {
    await run({ argv: [PROGRAM, '--version'] });
  } catch {
    const why = `this kernel has no WireGuard and "${PROGRAM}" is not on the PATH. Install one of them`;
    throw new WireGuardError('make WireGuard devices', new Error(why, { cause }), { isUnsupported: true });
  }
}

export interface StartOptions {
  /** Directory for one log a device. Not on a small disk: they are only appended to. @default /run/isthmus */
  readonly logDir?: string;
}

/**
 * Starts a userspace device and ends. wireguard-go, started without `-f`, makes the device and its socket and lets a
 * child of its own carry on. `setsid` and the redirections cut every tie to us: session, terminal and pipes. A socket
 * that a killed one left is taken over. `wg show` waits for the child's first answer: until then it has not set its own
 * MTU (1420), which would undo ours.
 */
const START = `
mkdir -p "$2" &&
LOG_LEVEL=error setsid -w ${PROGRAM} "$1" >>"$2/$1.log" 2>&1 </dev/null &&
wg show "$1" >/dev/null ||
{ tail -n 1 "$2/$1.log" >&2; exit 1; }`;

/** For `applyState`'s option `wireguard`: resolves once all devices can be configured. */
export function userspaceStarter(
  run: Run,
  options: StartOptions = {},
): (names: readonly string[]) => Promise<void> {
  const { logDir = '/run/isthmus' } = options;
  return async (names) => {
    const started = names.map((name) => run({ argv: ['sh', '-c', START, 'sh', name, logDir] }));
    const failed = (await Promise.allSettled(started)).flatMap((result, at) =>
      result.status === 'rejected' ? [new WireGuardError(`start "${names[at]}"`, result.reason)] : [],
    );
    const [first] = failed;
    if (first !== undefined) throw failed.length === 1 ? first : new AggregateError(failed, first.message);
  };
}

/** What {@link openWireGuard} found, in the shape that `applyState` takes. */
export interface WireGuardSupport {
  readonly kind: WireGuardKind;
  readonly wireguard: 'kernel' | ((names: readonly string[]) => Promise<void>);
}

/** Detects, once at start. Rejects as {@link detectWireGuard}. */
export async function openWireGuard(run: Run, options: StartOptions = {}): Promise<WireGuardSupport> {
  const kind = await detectWireGuard(run);
  return { kind, wireguard: kind === 'kernel' ? 'kernel' : userspaceStarter(run, options) };
}
