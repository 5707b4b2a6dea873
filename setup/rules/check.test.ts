import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import test from 'ava';
import * as v from 'valibot';
import { root } from './files.ts';

const run = promisify(execFile);

/** What a checker prints when it has found something; empty: nothing. */
async function complaints(program: string, args: readonly string[]): Promise<string> {
  const file = path.join(root, 'node_modules', '.bin', program);
  try {
    await run(process.execPath, [file, ...args], { cwd: root, maxBuffer: 64 * 1024 * 1024 });
    return '';
  } catch (error) {
    return error instanceof Error && 'stdout' in error ? String(error.stdout).slice(0, 4000) : String(error);
  }
}

test('types hold', async (t) => {
  t.is(await complaints('tsc', ['-p', '.']), '');
});

test('lint finds nothing', async (t) => {
  t.is(await complaints('oxlint', ['--type-aware', '--deny-warnings', '-f', 'unix', '.']), '');
});

test('files are formatted', async (t) => {
  t.is(await complaints('oxfmt', ['--check', '.']), '');
});

const Configuration = v.object({ rules: v.record(v.string(), v.unknown()) });

test('the linter holds the budgets: 300 lines a file, 40 a function, complexity 10, depth 3, 4 parameters', async (t) => {
  const { rules } = v.parse(
    Configuration,
    JSON.parse(await readFile(path.join(root, '.oxlintrc.json'), 'utf8')),
  );
  t.deepEqual(rules['max-lines'], ['error', { max: 300, skipBlankLines: false, skipComments: false }]);
  t.deepEqual(rules['max-lines-per-function'], [
    'error',
    { max: 40, skipBlankLines: true, skipComments: true },
  ]);
  t.deepEqual(rules['complexity'], ['error', { max: 10 }]);
  t.deepEqual(rules['max-depth'], ['error', { max: 3 }]);
  t.deepEqual(rules['max-params'], ['error', { max: 4 }]);
});

const Lockfile = v.object({
  packages: v.record(
    v.string(),
    v.object({
      version: v.optional(v.string()),
      integrity: v.optional(v.string()),
      optionalDependencies: v.optional(v.record(v.string(), v.string())),
    }),
  ),
});

test('the lockfile holds every optional package, those for other platforms too: npm ci refuses it otherwise', async (t) => {
  const { packages } = v.parse(
    Lockfile,
    JSON.parse(await readFile(path.join(root, 'package-lock.json'), 'utf8')),
  );
  const wanted = Object.values(packages).flatMap((each) => Object.keys(each.optionalDependencies ?? {}));
  const held = new Set(Object.keys(packages).map((where) => where.replace(/^.*node_modules\//, '')));
  t.deepEqual(
    wanted.filter((name) => !held.has(name)),
    [],
  );
  const loose = Object.entries(packages).filter(
    ([where, each]) => where !== '' && each.integrity === undefined,
  );
  t.deepEqual(
    loose.map(([where]) => where),
    [],
  );
});
