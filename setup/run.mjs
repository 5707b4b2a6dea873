// Runs a TypeScript file of this repository under the lockfile's own Node, with the packages installed and `.cache/bin` first on PATH.
// Plain JavaScript that any maintained Node understands: it is what `npm run …` and `bin/*` start, whatever Node is on the machine.

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const cache = path.join(root, '.cache');
const binaries = path.join(cache, 'bin');

/** Text for people: on stderr, so that `--json` output stays alone on stdout. */
function say(text) {
  process.stderr.write(`${text}\n`);
}

function refuse(text) {
  say(text);
  process.exit(1);
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(path.join(root, file), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Whether node_modules holds what the lockfile lists; packages for other platforms may be absent. */
function isInstalled() {
  const wanted = readJson('package-lock.json')?.packages ?? {};
  const have = readJson('node_modules/.package-lock.json')?.packages;
  if (have === undefined) return false;
  return Object.entries(wanted).every(
    ([where, { version, optional }]) =>
      where === '' || have[where]?.version === version || (optional === true && !(where in have)),
  );
}

/** Root leaves a checkout that is somebody else's to its owner, whose own commands could not write there otherwise. */
function giveBack(directory) {
  const { uid, gid } = fs.statSync(root);
  if (process.getuid?.() === 0 && uid !== 0) spawnSync('chown', ['-Rh', `${uid}:${gid}`, directory]);
}

function makeCache() {
  if (fs.existsSync(binaries)) return;
  for (const name of ['bin', 'dist']) fs.mkdirSync(path.join(cache, name), { recursive: true });
  giveBack(cache);
}

/** The living process that holds a lock, if one does. Whoever was killed before it wrote its number holds it no longer. */
function holderOf(lock) {
  try {
    const pid = Number(fs.readFileSync(lock, 'utf8'));
    if (pid === 0) return Date.now() - fs.statSync(lock).mtimeMs > 2000 ? undefined : 'that has just begun';
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    return error.code === 'EPERM' ? 'of another user' : undefined;
  }
}

/** Two commands started at once on a fresh clone must not both rewrite node_modules. */
async function lockInstall() {
  const lock = path.join(cache, 'install.lock');
  const remove = () => fs.rmSync(lock, { force: true });
  for (let said = false; ; said = true) {
    try {
      fs.writeFileSync(lock, String(process.pid), { flag: 'wx' });
      process.on('exit', remove);
      return () => process.off('exit', remove) && remove();
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const holder = holderOf(lock);
      if (holder === undefined) remove();
      else if (!said)
        say(`Waiting for process ${holder}, which installs the packages. If it does not: rm ${lock}`);
      await sleep(200);
    }
  }
}

/** npm's usual cache, or one in the checkout where the home directory is read-only or missing. */
function npmCache() {
  const usual = process.env['npm_config_cache'] ?? path.join(os.homedir(), '.npm');
  try {
    fs.mkdirSync(usual, { recursive: true });
    fs.accessSync(usual, fs.constants.W_OK);
    return usual;
  } catch {
    return path.join(cache, 'npm');
  }
}

async function installPackages() {
  if (isInstalled()) return;
  const unlock = await lockInstall();
  if (!isInstalled()) await runNpm();
  unlock();
}

async function runNpm() {
  say('Installing the packages of package-lock.json (once; about half a minute)');
  const quietly = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  const args = ['ci', ...quietly, '--cache', npmCache()];
  const status = await run('npm', args, { cwd: root, stdio: ['ignore', 2, 2] });
  giveBack(path.join(root, 'node_modules'));
  if (asked !== undefined) process.exit(statusOf(asked));
  if (status !== 0)
    refuse('Cannot install the packages: npm failed, see above. Mend the cause and run the command again');
}

/** The lockfile's Node, or the running one where that has no binary for this platform. */
function findNode() {
  const pinned = path.join(root, 'node_modules', 'node', 'bin', 'node');
  if (fs.existsSync(pinned)) return pinned;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  return refuse(
    `Cannot start: the package "node" has no binary in node_modules and the Node that runs is ${process.version}. Install Node 24 or newer, or run \`npm rebuild node\``,
  );
}

/** `.cache/bin/node` lets every child find the same Node. A rename makes it appear at once. */
function linkNode(node) {
  const link = path.join(binaries, 'node');
  try {
    if (fs.readlinkSync(link) === node) return;
  } catch {
    // It is not there yet.
  }
  const fresh = `${link}.${process.pid}`;
  fs.symlinkSync(node, fresh);
  fs.renameSync(fresh, link);
}

/**
 * npm puts every node_modules/.bin first on PATH, and one package there brings a program called `nft`
 * that is not nftables: such entries go. The sbin directories are missing from many users' PATH, and `ip` and `nft` live there.
 */
function searchPath() {
  const sbin = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
  const rest = (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .filter((entry) => entry !== binaries && !entry.replace(/\/+$/, '').endsWith('node_modules/.bin'));
  return [binaries, ...rest, ...sbin.filter((entry) => !rest.includes(entry))].join(path.delimiter);
}

function statusOf(signal) {
  return 128 + (os.constants.signals[signal] ?? 1);
}

/** The signal that asked this process to end, and the program that runs meanwhile: it is waited for, npm not least. */
let asked;
let current;

/** A terminal sends its own SIGINT to the child: a second one would read as "hurry". */
function followSignals() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      asked = signal;
      if (current === undefined) process.exit(statusOf(signal));
      if (signal !== 'SIGINT' || !process.stdin.isTTY) current.kill(signal);
    });
  }
}

/** Runs a program to its end, and gives its exit status. */
function run(program, args, options) {
  return new Promise((resolve) => {
    current = spawn(program, args, options);
    current.on('error', (error) => refuse(`Cannot start "${program}": ${error.message}`));
    current.on('exit', (code, signal) => {
      current = undefined;
      resolve(code ?? statusOf(signal));
    });
  });
}

/** Makes the checkout ready and says which Node runs it. */
async function prepare() {
  try {
    makeCache();
    await installPackages();
    const node = findNode();
    linkNode(node);
    return node;
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code)) throw error;
    return refuse(
      `Cannot set up this checkout: ${error.message}. Run the command as its owner or as root, or make a clone of your own`,
    );
  }
}

followSignals();
const node = await prepare();
process.exit(
  await run(node, ['--enable-source-maps', path.join(root, 'setup', 'start.ts'), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, PATH: searchPath(), NODE: node },
  }),
);
