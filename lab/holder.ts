// A node of the lab: a process that holds its mount and host name namespaces, in which the product finds its customary paths.

import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { LABS, NETNS, netnsName, type Home } from './home.ts';

export interface HolderOptions {
  readonly home: Home;
  readonly place: string;
  readonly hostname: string;
  readonly site?: string;
  readonly role: 'gateway' | 'worker' | 'broker';
}

/**
 * The node sees its site's directory as /etc/isthmus and its own state below /var/lib/isthmus, so commands need no flags.
 * /etc and /var/lib are directories of links to the host's, with that one entry put in: nothing has to exist on the host.
 * Mounts are a slave of the host's: none of ours gets out, and a namespace that somebody else deletes is not kept alive by a copy.
 */
const SCRIPT = `set -e
home=$1 run=$2 varlib=$3 name=$4
mount -n --rbind /etc "$run/host/etc"
mount -n --rbind /var/lib "$run/host/var-lib"
mount -n --bind "$home" "$run$(echo "$home" | sed 's,^/run,,')"
mount -n --rbind "$run" /run
[ -z "$5" ] || mount -n --bind "$5" /etc
mount -n --bind "$varlib" /var/lib
[ -z "$6" ] || mount -n --bind "$6" /var/lib/isthmus/secrets
mount -n -t sysfs sysfs /sys 2>/dev/null || :
echo "$name" > /proc/sys/kernel/hostname
echo ready
exec sleep 2147483647 >/dev/null 2>&1
`;

/** Starts the holder and waits until its namespaces are complete. It outlives this process: \`down\` ends it. */
export async function startHolder(options: HolderOptions): Promise<void> {
  const { home, place, site, role } = options;
  const files = home.node(place);
  const shared = site === undefined ? undefined : home.site(site);
  await prepare(files, home);
  if (shared !== undefined) await farm(shared.etc, '/etc', '/run/host/etc');
  if (shared !== undefined) await fs.mkdir(shared.directory, { recursive: true });
  if (shared !== undefined) await fs.mkdir(shared.secrets, { recursive: true, mode: 0o700 });
  const secrets = role === 'gateway' ? (shared?.secrets ?? '') : '';
  const args = [home.root, files.run, files.varLib, options.hostname, shared?.etc ?? '', secrets];
  const name = netnsName(home.lab, place);
  const inside = ['unshare', '--mount', '--uts', '--propagation', 'slave', 'sh', '-c', SCRIPT, name, ...args];
  const child = spawn('nsenter', [`--net=${NETNS}/${name}`, ...inside], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ISTHMUS_LAB: home.lab },
  });
  await ready(child, place);
  await fs.writeFile(files.holder, String(child.pid));
}

async function prepare(files: ReturnType<Home['node']>, home: Home): Promise<void> {
  const inside = path.join(files.run, path.relative('/run', LABS), home.lab);
  for (const directory of [
    `${files.run}/host/etc`,
    `${files.run}/host/var-lib`,
    `${files.run}/wireguard`,
    inside,
  ])
    await fs.mkdir(directory, { recursive: true });
  await farm(files.varLib, '/var/lib', '/run/host/var-lib');
  await fs.mkdir(`${files.varLib}/isthmus/secrets`, { recursive: true, mode: 0o700 });
  await fs.mkdir(`${files.varLib}/isthmus/state`, { recursive: true, mode: 0o700 });
}

/** A directory of links to the entries of another one, seen from inside a node; `isthmus` is left out. */
async function farm(directory: string, of: string, seenAs: string): Promise<void> {
  await fs.mkdir(directory, { recursive: true });
  const have = new Set(await fs.readdir(directory));
  const wanted = (await fs.readdir(of)).filter((name) => name !== 'isthmus' && !have.has(name));
  await Promise.all(
    wanted.map((name) => fs.symlink(path.join(seenAs, name), path.join(directory, name)).catch(ifThere)),
  );
}

function ifThere(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
}

function ready(child: ReturnType<typeof spawn>, place: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.stdout?.on('data', () => resolve());
  child.on('error', reject);
  child.on('close', () => reject(new Error(`Cannot start node "${place}": ${said.trim()}`)));
  return promise.finally(() => {
    child.removeAllListeners();
    child.stdout?.destroy();
    child.stderr?.destroy();
    child.unref();
  });
}
