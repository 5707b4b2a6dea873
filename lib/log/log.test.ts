import { execFile } from 'node:child_process';
import process from 'node:process';
import { promisify } from 'node:util';
import test from 'ava';
import { openLog, Sparing } from '#lib/log';
import type { LogOptions } from '#lib/log';

function lines(options: Partial<LogOptions> = {}): {
  log: ReturnType<typeof openLog>;
  read: () => unknown[];
} {
  const written: string[] = [];
  const log = openLog({
    component: 'gateway',
    now: () => new Date(0),
    destination: { write: (line) => void written.push(line) },
    ...options,
  });
  return { log, read: () => written.map((line): unknown => JSON.parse(line)) };
}

test('openLog() writes one JSON object a line, with component, level by name and time', (t) => {
  const { log, read } = lines();
  log.info({ cluster: 'west' }, 'Applied the plan');
  log.debug('not at this level');
  t.deepEqual(read(), [
    {
      level: 'info',
      time: '1970-01-01T00:00:00.000Z',
      component: 'gateway',
      cluster: 'west',
      message: 'Applied the plan',
    },
  ]);
});

test('openLog() keeps the fields of a child on every line', (t) => {
  const { log, read } = lines({ level: 'debug' });
  log.child({ ordinal: 1 }).debug('Probing');
  t.like(read()[0], { level: 'debug', ordinal: 1, message: 'Probing' });
});

test('openLog() never writes secrets, at any depth that we log at', (t) => {
  const { log, read } = lines();
  log.info({ token: 'a', member: { seed: 'b', inner: { privateKey: 'c' } }, list: [{ jwt: 'd' }] }, 'Joined');
  t.like(read()[0], {
    token: '[redacted]',
    member: { seed: '[redacted]', inner: { privateKey: '[redacted]' } },
    list: [{ jwt: '[redacted]' }],
  });
});

test('openLog() writes an error with its message, stack and cause', (t) => {
  const { log, read } = lines();
  log.error({ error: new Error('Cannot apply', { cause: new RangeError('too many') }) }, 'Pass failed');
  const [line] = read();
  t.like(line, { error: { type: 'Error', message: 'Cannot apply: too many' } });
});

test('Sparing.ask() lets one line a period through about each thing, and counts what it holds back', (t) => {
  let now = 0;
  const sparing = new Sparing({ periodMs: 1000, keys: 2, now: () => now });
  t.deepEqual(sparing.ask('a'), { held: 0 });
  t.deepEqual(sparing.ask('b'), { held: 0 });
  for (now = 1; now < 1000; now += 333) t.is(sparing.ask('a'), undefined);
  now = 1000;
  t.deepEqual(sparing.ask('a'), { held: 3 });
  t.deepEqual(sparing.ask('c'), { held: 0 }, 'one too many');
  t.is(sparing.ask('d'), undefined, 'all that are too many are one');
});

test('openLog() outlives a standard output that takes nothing, as a file on a full disk', async (t) => {
  const program = `
    import { openLog } from '#lib/log';
    const log = openLog({ component: 'test' });
    for (let line = 0; line < 1000; line += 1) log.info('more');
    process.stderr.write('alive');`;
  const argv = ['-c', 'exec "$0" --input-type=module -e "$1" > /dev/full', process.execPath, program];
  const { stderr } = await promisify(execFile)('sh', argv, { cwd: import.meta.dirname });
  t.is(stderr, 'alive');
});
