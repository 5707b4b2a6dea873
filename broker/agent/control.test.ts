import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseClusterId } from '#lib/names';
import { sendControl, serveControl } from './control.ts';
import type { RevokeCommand } from './control.ts';

const COMMAND: RevokeCommand = { command: 'revoke', cluster: parseClusterId('east'), reason: 'stolen' };

async function directory(t: { teardown: (f: () => Promise<void>) => void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'isthmus-control-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('sendControl() hands on what it is told, says why not, and finds nobody where nobody serves', async (t) => {
  const dir = await directory(t);
  const path = join(dir, 'control');
  const heard: RevokeCommand[] = [];
  t.false(await sendControl(path, COMMAND));
  const served = await serveControl(path, async (command) => {
    heard.push(command);
    if (heard.length > 1) throw new Error('it is not a member');
    await Promise.resolve();
  });
  t.true(await sendControl(path, COMMAND));
  t.deepEqual(heard, [COMMAND]);
  await t.throwsAsync(sendControl(path, COMMAND), { message: 'it is not a member' });
  await served[Symbol.asyncDispose]();
  t.deepEqual(await readdir(dir), []);
  t.false(await sendControl(path, COMMAND));
});

test('serveControl() that ends leaves the sockets of others in the same process alone', async (t) => {
  const [here, there] = [await directory(t), await directory(t)];
  const ending = await serveControl(join(here, 'control'), () => Promise.resolve());
  await using stack = new AsyncDisposableStack();
  stack.use(await serveControl(join(there, 'control'), () => Promise.resolve()));
  // It takes the number of whatever was closed last.
  stack.use(await open(there, 'r'));
  await ending[Symbol.asyncDispose]();
  t.true(await sendControl(join(there, 'control'), COMMAND));
});
