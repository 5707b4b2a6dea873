// What the virtual machine's first processes do: a copy-on-write view of this machine's root, one command, the end.
// This module is pure.

/** The tag under which the machine's root is shared. */
export const ROOT_TAG = 'root';
/** Lines of the guest to its keeper, by the number of the port that they come through. */
export const PORTS = { stdout: 1, stderr: 2, status: 3 } as const;
export const UP = 'up';
/** A word of its kernel's command line, by which a program knows where it is. */
export const GUEST_MARK = 'isthmus.guest';

/** One word for a shell, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export interface GuestCommand {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * The first process, from the archive: what is written goes to memory, and the machine's root stays as it is.
 * @param modules files of /m in the order in which they are loaded
 * @param kernelRoot directory of the machine that holds the kernel's `lib/modules`
 */
export function initScript(modules: readonly string[], kernelRoot: string, command: GuestCommand): string {
  return `#!/bin/sh
set -e
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
${modules.map((file) => `insmod /m/${file}`).join('\n')}
mount -t virtiofs -o ro ${ROOT_TAG} /lower
mount -t tmpfs -o size=75% tmpfs /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work,xino=off overlay /new
mkdir -p /new/lib/modules
mount --bind /new${quoted(kernelRoot)}/lib/modules /new/lib/modules
exec switch_root /new /bin/sh -c ${quoted(guestScript(command))}
`;
}

/** The first process, once it stands on the machine's root. There is no udev: modules come as the kernel asks for them. */
function guestScript({ argv, cwd, env }: GuestCommand): string {
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quoted(value)}`);
  return `
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /dev/pts /dev/shm /run/netns /run/lock
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
ip link set lo up
modprobe virtio_console
port() {
  until [ -c "$(echo /dev/vport*p$1)" ]; do sleep 0.05; done
  echo /dev/vport*p$1
}
stdout=$(port ${PORTS.stdout}) stderr=$(port ${PORTS.stderr}) status=$(port ${PORTS.status})
exec 3>$status
echo ${UP} >&3
${exports.join('\n')}
cd ${quoted(cwd)}
set +e
${argv.map(quoted).join(' ')} </dev/null >$stdout 2>$stderr 3>&-
echo "exit $?" >&3
echo o >/proc/sysrq-trigger
sleep 60
`;
}

export interface GuestStatus {
  /** Whether the command was begun. */
  readonly isUp: boolean;
  /** Its exit status, once it has ended. */
  readonly exit?: number;
}

/** Reads what the guest says of itself. */
export function parseStatus(said: string): GuestStatus {
  const isUp = said.startsWith(`${UP}\n`);
  const [, exit] = /^exit (\d+)$/m.exec(said) ?? [];
  return exit === undefined ? { isUp } : { isUp, exit: Number(exit) };
}
