import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readIfThere, replaceFile } from './files.ts';

const directory = await mkdtemp(join(tmpdir(), 'isthmus-durable-'));
test.after.always(() => rm(directory, { recursive: true, force: true }));

test('replaceFile() leaves the new contents, the wanted mode and nothing beside them', async (t) => {
  const path = join(directory, 'key');
  await writeFile(path, 'old', { mode: 0o644 });
  // What a killed run has left.
  await writeFile(`${path}.new`, 'a longer half');
  await chmod(`${path}.new`, 0o666);
  await replaceFile(path, 'new', 0o600);
  t.is(await readFile(path, 'utf8'), 'new');
  t.is((await stat(path)).mode & 0o777, 0o600);
  t.false((await readdir(directory)).includes('key.new'));
});

test('replaceFile() that fails says what the system said, and leaves no half', async (t) => {
  const path = join(directory, 'taken');
  await mkdir(join(path, 'by a directory'), { recursive: true });
  await t.throwsAsync(replaceFile(path, 'new', 0o600), { code: 'EISDIR' });
  t.deepEqual(await readdir(path), ['by a directory']);
  t.false((await readdir(directory)).includes('taken.new'));
});

test('replaceFile() says why, also where what lies beside the file cannot be removed', async (t) => {
  const path = join(directory, 'blocked');
  await mkdir(`${path}.new`);
  await t.throwsAsync(replaceFile(path, 'new', 0o600), { code: 'EISDIR' });
});

test('readIfThere() tells a file that is missing from one that cannot be read', async (t) => {
  t.is(await readIfThere(join(directory, 'nothing')), undefined);
  await t.throwsAsync(readIfThere(directory), { code: 'EISDIR' });
});
