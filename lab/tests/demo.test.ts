import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Home, Lab, labNames, measureMatrix, namespacesOf } from '#lab';
import test from 'ava';

const DEMO = path.resolve('lab/demo.ts');
/** Somebody may be looking at a demo of their own. */
const NAME = `t${process.pid % 100_000}-demo`;

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the demo; with `interruptMs`, sends it what Ctrl-C sends, twice as a terminal and npm together do. */
async function demo(flags: readonly string[], interruptMs?: number): Promise<Ended> {
  const child = spawn(process.execPath, [DEMO, '--name', NAME, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()));
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.on('close', resolve);
  if (interruptMs !== undefined) {
    await sleep(interruptMs);
    child.kill('SIGINT');
    child.kill('SIGINT');
  }
  return { status: await promise, ...said };
}

async function nothingLeft(): Promise<boolean> {
  const files = await fs.readdir('/run/isthmus-lab').catch((): string[] => []);
  return (await namespacesOf(NAME)).length === 0 && !files.includes(NAME);
}

test.serial(
  'demo --json prints one document, in which every pair was reached and nothing was left',
  async (t) => {
    const first = demo(['--json']);
    await sleep(2000);
    const second = await demo(['--json']);
    t.deepEqual([second.status, second.stdout], [1, '']);
    t.regex(second.stderr, /a demo runs under it\. Give another: --name NAME/);
    const { status, stdout, stderr } = await first;
    t.is(stderr, '');
    const report: unknown = JSON.parse(stdout);
    t.like(report, {
      sites: ['east', 'west', 'edge'],
      pairs: 240,
      reached: 240,
      sourceKept: 240,
      brokerDown: { reached: 240 },
      afterLeave: { leftovers: 0 },
    });
    t.deepEqual(
      Object.keys(report ?? {}).join(' '),
      'sites pairs reached sourceKept throughputMbps brokerDown afterLeave seconds',
    );
    t.is(status, 0);
    t.true(await nothingLeft());
  },
);

test.serial('demo cleans up when it is interrupted, at any time', async (t) => {
  for (const interruptMs of [200, 600, 1000, 1800, 3000, 5000]) {
    const { status, stderr } = await demo([], interruptMs);
    // Until its first own line has run, nobody catches the signal: the program ends by it and says nothing.
    t.true(status === null ? stderr === '' : status === 1, `after ${interruptMs} ms: ${status}`);
    t.true(status === null || stderr.includes('Interrupted by SIGINT'), `after ${interruptMs} ms: ${stderr}`);
    t.true(await nothingLeft(), `after ${interruptMs} ms`);
  }
});

test.serial('demo stops when a daemon has died, and leaves nothing but its log', async (t) => {
  const running = demo([]);
  const victim = new Home(NAME).pid('gateway', 'edge/gw-1');
  let pid = '';
  for (; pid === ''; await sleep(50)) pid = await fs.readFile(victim, 'utf8').catch(() => '');
  process.kill(Number(pid), 'SIGKILL');
  const { status, stderr } = await running;
  t.is(status, 1);
  t.regex(stderr, /Cannot go on: isthmus-gateway of edge\/gw-1 has ended: it said nothing\n/);
  const [, log = ''] = /^See (.*)$/m.exec(stderr) ?? [];
  t.is(path.basename(log), 'gateway@edge.gw-1.log');
  t.is(await fs.readFile(log, 'utf8'), '');
  await fs.rm(path.dirname(log), { recursive: true });
  t.true(await nothingLeft());
});

test.serial('demo --keep leaves a whole clusterset running, and says how to go on', async (t) => {
  const { status, stdout } = await demo(['--keep']);
  t.is(status, 0);
  t.is(stdout.match(/npm run lab -- /g)?.length, 5);
  t.true((await labNames()).includes(NAME));
  const pairs = await measureMatrix(await Lab.open(NAME));
  t.true(pairs.every((pair) => pair.kept));
  await Lab.down(NAME);
  t.true(await nothingLeft());
});
