import test from 'ava';
import process from 'node:process';
import { inspect } from 'node:util';
import { CommandError, inNamespace, runCommand } from './run.ts';
import type { Command } from './run.ts';

async function failure(command: Command): Promise<CommandError> {
  try {
    await runCommand(command);
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

test('runCommand() gives stdout of what it was given on stdin', async (t) => {
  t.is(await runCommand({ argv: ['cat'], input: 'one\ntwo\n' }), 'one\ntwo\n');
});

test('runCommand() speaks the C locale', async (t) => {
  t.is(await runCommand({ argv: ['sh', '-c', 'echo $LC_ALL'] }), 'C\n');
});

test('runCommand() does not run programs of npm packages in the place of the system’s', async (t) => {
  const path = await runCommand({ argv: ['sh', '-c', 'echo $PATH'] });
  t.false(path.split(':').some((directory) => directory.endsWith('node_modules/.bin')));
});

test('runCommand() names argv, exit status and stderr of a failure', async (t) => {
  const error = await failure({ argv: ['sh', '-c', 'echo bad luck >&2; exit 3'] });
  t.is(error.exitCode, 3);
  t.is(error.stderr, 'bad luck\n');
  t.deepEqual(error.argv, ['sh', '-c', 'echo bad luck >&2; exit 3']);
  t.is(error.message, 'Cannot run "sh -c echo bad luck >&2; exit 3": exit status 3: bad luck');
});

test('runCommand() keeps neither stdin nor stdout in its error', async (t) => {
  const error = await failure({ argv: ['sh', '-c', 'cat; exit 1'], input: 'secret' });
  t.false(inspect(error, { depth: 9, showHidden: true }).includes('secret'));
});

test('runCommand() says that a program is not installed', async (t) => {
  const error = await failure({ argv: ['isthmus-no-such-program'] });
  t.true(error.isMissing);
  t.is(error.exitCode, null);
  t.regex(error.message, /not installed, or not on the PATH/);
});

test('runCommand() survives a program that does not read its input', async (t) => {
  const error = await failure({ argv: ['false'], input: 'x'.repeat(1_000_000) });
  t.is(error.exitCode, 1);
});

test('runCommand() ends a program that takes too long', async (t) => {
  const error = await failure({ argv: ['sleep', '20'], timeoutMs: 50 });
  t.regex(error.message, /no end after 50 ms/);
});

test('runCommand() ends what a program has started as well', async (t) => {
  const started = performance.now();
  const error = await failure({ argv: ['sh', '-c', 'sleep 5 | sleep 5'], timeoutMs: 100 });
  t.regex(error.message, /no end after 100 ms/);
  t.true(performance.now() - started < 2500);
});

test('runCommand() ends a program when its signal aborts, before and after the start', async (t) => {
  for (const signal of [AbortSignal.abort(), AbortSignal.timeout(30)]) {
    const error = await failure({ argv: ['sleep', '20'], signal });
    t.regex(error.message, /aborted/);
    t.is(error.cause, signal.reason);
  }
});

test('runCommand() ends a program that says too much', async (t) => {
  const error = await failure({ argv: ['yes'] });
  t.regex(error.message, /bytes of output/);
});

test('inNamespace() enters by process id', async (t) => {
  const seen: string[] = [];
  const run = inNamespace((command) => {
    seen.push(command.argv.join(' '));
    return Promise.resolve('');
  }, process.pid);
  await run({ argv: ['ip', 'link'] });
  t.deepEqual(seen, [`nsenter -t ${process.pid} -n -m -- ip link`]);
});
