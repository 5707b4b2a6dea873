import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab, measureMatrix } from '#lab';
import test from 'ava';

const CHECKOUT = path.resolve(import.meta.dirname, '..', '..');
/** The slowest block starts a daemon and waits for its tunnels. */
const BLOCK_MS = 90_000;

interface Block {
  readonly host: string;
  readonly text: string;
}

/** The command blocks of a page, with what their info string says to run them as. */
async function blocksOf(page: string): Promise<readonly Block[]> {
  const text = await readFile(path.join(CHECKOUT, page), 'utf8');
  const blocks = text.matchAll(/^```sh run=(\S+)\n([\s\S]*?)^```$/gm);
  return Array.from(blocks, ([, host = '', commands = '']) => ({ host, text: commands }));
}

/** One shell on one host, as a reader would have it open: what starts in the background stays its job. */
class Shell {
  readonly #child: ChildProcessWithoutNullStreams;
  #said = '';

  constructor(entry: readonly [string, ...string[]]) {
    const [program, ...prefix] = entry;
    this.#child = spawn(program, [...prefix, 'bash', '--norc', '-e']);
    this.#child.stdin.write(`cd '${CHECKOUT.replaceAll("'", `'\\''`)}'\n`);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
    }
  }

  /** Runs a block to its end. @throws {Error} with what it said, if a command of it fails */
  async run(text: string): Promise<string> {
    const mark = `-- end of block ${process.hrtime.bigint()}`;
    const from = this.#said.length;
    this.#child.stdin.write(`${text}\necho '${mark}'\n`);
    for (const until = Date.now() + BLOCK_MS; !this.#said.includes(mark); await sleep(20)) {
      if (this.#child.exitCode === null && Date.now() < until) continue;
      throw new Error(`Cannot run the block:\n${text}\nIt said:\n${this.#said.slice(from)}`);
    }
    return this.#said.slice(from).replace(`${mark}\n`, '');
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

test.serial(
  'every block of getting started does what the page says, on two hosts that have nothing yet',
  async (t) => {
    const site = {
      gateways: 1,
      workers: 0,
      podsPerGateway: 1,
      hostProcesses: 0,
      kubeProxy: false,
      pods: 'v4',
      underlay: 'v4',
    } as const;
    await using lab = await Lab.up(
      { sites: { east: site, west: site } },
      { name: `g${process.pid % 100_000}` },
    );
    const west = await lab.place('west/gw-0').entry();
    const shells: Readonly<Record<string, Shell>> = {
      east: new Shell(await lab.place('east/gw-0').entry()),
      west: new Shell(west),
    };
    t.teardown(() => Object.values(shells).forEach((shell) => shell.end()));
    // The two hosts have no ssh between them: what it would copy goes the same way by hand.
    await shells['east']?.run(
      `scp() { ${west.join(' ')} sh -c "cat > /etc/isthmus/$(basename $1)" < "$1"; }`,
    );

    const blocks = await blocksOf('docs/getting-started.md');
    t.true(blocks.length > 8);
    for (const { host, text } of blocks) {
      const hosts = host === 'both' ? Object.values(shells) : [shells[host]];
      if (text.includes('leave'))
        t.true((await measureMatrix(lab)).every((pair) => pair.reached && pair.kept));
      for (const shell of hosts) await shell?.run(text);
    }
    const left = 'nft list tables; ip rule | grep 73; ip -o link | grep ist';
    t.is(await lab.place('west/gw-0').exec(['sh', '-c', `${left} || :`]), '');
  },
);

test('the commands of the README are scripts of the package, and tests run them', async (t) => {
  const blocks = await blocksOf('README.md');
  t.deepEqual(blocks, [
    // lab/tests/demo.test.ts runs it, with and without its flags.
    { host: 'demo', text: 'npm run demo\n' },
    // This is it.
    { host: 'test', text: 'npm test\n' },
  ]);
});
