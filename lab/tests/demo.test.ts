import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab, labNames, measureMatrix, namespacesOf } from '#lab';
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
    const { status, stdout, stderr } = await demo(['--json']);
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
    // Before its first own line runs, it ends as any program does.
    t.true(status === null ? stderr === '' : status === 1, `after ${interruptMs} ms: ${status}`);
    t.true(status === null || stderr.includes('Interrupted by SIGINT'), `after ${interruptMs} ms: ${stderr}`);
    t.true(await nothingLeft(), `after ${interruptMs} ms`);
  }
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
