// The repository's own files, as the rules read them.

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const root = path.resolve(import.meta.dirname, '..', '..');

export interface SourceFile {
  /** Relative to the root of the repository. */
  readonly path: string;
  readonly text: string;
}

/** All text files: what git knows besides what it ignores, new files among them, so that a rule speaks before a commit does. */
export async function readFiles(select: (path: string) => boolean): Promise<readonly SourceFile[]> {
  // git refuses to read another user's repository unless it is told that this one is meant.
  const args = [
    '-c',
    `safe.directory=${root}`,
    'ls-files',
    '--cached',
    '--others',
    '--exclude-standard',
    '-z',
  ];
  const { stdout } = await run('git', args, { cwd: root, maxBuffer: 16 * 1024 * 1024 });
  const paths = [...new Set(stdout.split('\0'))].filter((name) => name !== '' && select(name)).toSorted();
  const files = paths.map(async (name) => ({ path: name, text: await readText(name) }));
  return (await Promise.all(files)).filter((file) => !file.text.includes('\0'));
}

/** Deleted but not yet committed files, and links to directories, read as empty. */
async function readText(name: string): Promise<string> {
  return await readFile(path.join(root, name), 'utf8').catch(() => '');
}

export function isTest(name: string): boolean {
  return name.endsWith('.test.ts');
}

export function isProgramText(name: string): boolean {
  return name.endsWith('.ts') && !isTest(name);
}

/** Text without comments; strings that look like comments do not occur in what the rules look for. */
export function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');
}

export interface Import {
  readonly specifier: string;
  /** Erased before the program runs. */
  readonly isType: boolean;
  /** Names that are taken as values; empty for a whole module. */
  readonly names: readonly string[];
}

const IMPORT =
  /^\s*(?:import|export)\s+(type\s+)?(?:([^'";]*?)\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm;

/** What a module imports or re-exports. */
export function importsOf(text: string): readonly Import[] {
  return Array.from(withoutComments(text).matchAll(IMPORT), ([, type, clause, fixed, dynamic]) => ({
    specifier: fixed ?? dynamic ?? '',
    isType: type !== undefined,
    names: namesOf(clause ?? ''),
  }));
}

/** `{ a, type B, c as d }` → a, c. */
function namesOf(clause: string): readonly string[] {
  const [, inner = ''] = /\{([\s\S]*)\}/.exec(clause) ?? [];
  return inner
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && !part.startsWith('type '))
    .map((part) => part.split(/\s+as\s+/)[0] ?? part);
}

/** The package that a file belongs to: `lib/ip`, or the top folder. */
export function packageOf(name: string): string {
  const [top = '', second = ''] = name.split('/');
  return top === 'lib' ? `lib/${second}` : top;
}

/** The file that an import of our own leads to; undefined: somebody else's package, or the manifest, which has the version. */
export function resolveImport(from: string, specifier: string): string | undefined {
  if (specifier.endsWith('/package.json')) return undefined;
  if (specifier.startsWith('#')) return `${specifier.slice(1)}/mod.ts`;
  if (!specifier.startsWith('.')) return undefined;
  return path.posix.join(path.posix.dirname(from), specifier);
}
