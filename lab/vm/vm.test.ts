import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { cpio, withDirectories } from './cpio.ts';
import { initScript, parseStatus, quoted } from './guest.ts';
import { parseDepends, parseLdd } from './initrd.ts';
import { qemuArgv } from './qemu.ts';

const run = promisify(execFile);

/** An archive read back by its format: names, modes and texts. */
function unpack(archive: Buffer): readonly (readonly [name: string, mode: string, text: string])[] {
  const found: [string, string, string][] = [];
  const four = (length: number): number => Math.ceil(length / 4) * 4;
  for (let at = 0; at < archive.length;) {
    const field = (n: number): number =>
      Number.parseInt(archive.toString('latin1', at + 6 + 8 * n, at + 14 + 8 * n), 16);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const name = archive.toString('utf8', at + 110, at + 110 + nameSize - 1);
    const data = at + four(110 + nameSize);
    found.push([name, mode.toString(8), archive.toString('utf8', data, data + size)]);
    at = data + four(size);
  }
  return found;
}

test('cpio() pads names and data, and ends with a trailer', (t) => {
  const archive = cpio([
    { path: 'bin' },
    { path: 'bin/sh', data: Buffer.from('#!'), isExecutable: true },
    { path: 'm', data: Buffer.from('12345') },
  ]);
  t.is(archive.length % 4, 0);
  t.is(archive.toString('latin1', 0, 6), '070701');
  t.deepEqual(unpack(archive), [
    ['bin', '40755', ''],
    ['bin/sh', '100755', '#!'],
    ['m', '100644', '12345'],
    ['TRAILER!!!', '0', ''],
  ]);
});

test('withDirectories() puts each directory once, before what is in it', (t) => {
  const data = Buffer.alloc(0);
  const paths = withDirectories([
    { path: 'a/b/c', data },
    { path: 'a/d', data },
  ]).map((entry) => entry.path);
  t.deepEqual(paths, ['a', 'a/b', 'a/b/c', 'a/d']);
});

test('quoted() makes one word of any text, also for the shell of a shell', async (t) => {
  const text = `it's "$HOME" \\ \n;`;
  const script = `sh -c ${quoted(`printf %s ${quoted(text)}`)}`;
  t.is((await run('sh', ['-c', script])).stdout, text);
});

test('initScript() is a script that a shell can read, whatever the command has in it', async (t) => {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'isthmus-init-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const file = path.join(directory, 'init');
  const command = { argv: ['echo', `it's`], cwd: '/a b', env: { PATH: `/x'y:/z` } };
  await writeFile(file, initScript(['fuse.ko', 'virtiofs.ko'], `/it's here`, command));
  await t.notThrowsAsync(run('sh', ['-n', file]));
  const lines = (await readFile(file, 'utf8')).split('\n');
  t.deepEqual(
    lines.filter((line) => line.startsWith('insmod')),
    ['insmod /m/fuse.ko', 'insmod /m/virtiofs.ko'],
  );
  // What the last line hands to the second shell is its script, as it was meant.
  const last = lines.slice(lines.findIndex((line) => line.startsWith('exec switch_root'))).join('\n');
  const bin = path.join(directory, 'bin');
  await mkdir(bin);
  await writeFile(path.join(bin, 'switch_root'), '#!/bin/sh\nprintf %s "$4"\n', { mode: 0o755 });
  const { stdout } = await run('sh', ['-c', last], { env: { PATH: `${bin}:/usr/bin:/bin` } });
  t.true(stdout.includes(`export PATH='/x'\\''y:/z'\ncd '/a b'\nset +e\n'echo' 'it'\\''s' </dev/null`));
});

test('parseStatus() tells a command that was not begun from one that did not end', (t) => {
  t.deepEqual(parseStatus(''), { isUp: false });
  t.deepEqual(parseStatus('up\n'), { isUp: true });
  t.deepEqual(parseStatus('up\nexit 137\n'), { isUp: true, exit: 137 });
});

test('parseLdd() reads libraries and their loader', (t) => {
  const said = `\tlinux-vdso.so.1 (0x00007ffc)
\tlibselinux.so.1 => /lib/x86_64-linux-gnu/libselinux.so.1 (0x00007f1)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f2)
`;
  t.deepEqual(parseLdd(said), ['/lib/x86_64-linux-gnu/libselinux.so.1', '/lib64/ld-linux-x86-64.so.2']);
});

test('parseDepends() keeps the order of modules, names each once, and leaves out what is built in', (t) => {
  const said = `builtin virtio_ring\ninsmod /k/virtio.ko \ninsmod /k/fuse.ko.xz\ninsmod /k/virtio.ko\n`;
  t.deepEqual(parseDepends(said), ['/k/virtio.ko', '/k/fuse.ko.xz']);
});

test('qemuArgv() asks for no disk, network or screen, and doubles commas in paths', (t) => {
  const machine = { memoryMiB: 512, image: '/k/vmlinuz', initrd: '/t,1/initrd', directory: '/t,1' };
  const argv = qemuArgv(machine).join(' ');
  t.regex(argv, / -nodefaults .*-display none -machine q35,memory-backend=memory /);
  t.regex(argv, / -m 512M -object memory-backend-memfd,id=memory,size=512M,share=on /);
  t.regex(argv, / -chardev socket,id=status,path=\/t,,1\/status /);
  t.regex(argv, / -kernel \/k\/vmlinuz -initrd \/t,1\/initrd /);
  t.notRegex(argv, /-(drive|netdev|nic|vga)\b/);
});
