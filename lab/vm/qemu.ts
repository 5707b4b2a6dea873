// The command line of the emulator.
// This module is pure.

import { GUEST_MARK, PORTS, ROOT_TAG } from './guest.ts';

export interface QemuOptions {
  readonly memoryMiB: number;
  readonly image: string;
  readonly initrd: string;
  /** Holds the sockets `root`, `stdout`, `stderr` and `status`; what the kernel says goes to `console` there. */
  readonly directory: string;
}

/**
 * Emulated, also where KVM is: its clock counts instructions, one a nanosecond, and goes on by itself only while it is idle. However
 * slow or busy this machine is, the virtual one finds itself as fast as a real one, and nothing in it times out that would not do
 * so elsewhere. Such a clock is that of one processor, and it is one of 2008: Node crashes now and then on the newest one that
 * QEMU 7.2 emulates.
 */
const PROCESSOR = [
  ['-accel', 'tcg'],
  ['-cpu', 'Nehalem'],
  ['-smp', '1'],
  ['-icount', 'shift=0,sleep=on'],
] as const;

/** No disk, no network, no screen: the root comes through one socket, and three lines of text lead out. */
export function qemuArgv(options: QemuOptions): readonly [string, ...string[]] {
  const { memoryMiB } = options;
  // A comma ends a value unless it is doubled.
  const at = (name: string): string => `path=${options.directory.replaceAll(',', ',,')}/${name}`;
  const ports = Object.entries(PORTS).flatMap(([name, nr]) => [
    ['-chardev', `socket,id=${name},${at(name)}`],
    ['-device', `virtserialport,bus=serial.0,nr=${nr},chardev=${name},name=${name}`],
  ]);
  const pairs = [
    ['-display', 'none'],
    ['-machine', 'q35,memory-backend=memory'],
    ...PROCESSOR,
    // The daemon that shares the root writes straight into the machine's memory.
    ['-m', `${memoryMiB}M`],
    ['-object', `memory-backend-memfd,id=memory,size=${memoryMiB}M,share=on`],
    ['-chardev', `socket,id=root,${at('root')}`],
    ['-device', `vhost-user-fs-pci,chardev=root,tag=${ROOT_TAG}`],
    ['-device', 'virtio-serial-pci,id=serial'],
    ...ports,
    ['-chardev', `file,id=console,${at('console')}`],
    ['-serial', 'chardev:console'],
    ['-kernel', options.image],
    ['-initrd', options.initrd],
    // A panic ends the machine at once. Mitigations guard nobody here, and cost much in emulation.
    ['-append', `console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off ${GUEST_MARK}`],
  ];
  return ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-no-reboot', ...pairs.flat()];
}
