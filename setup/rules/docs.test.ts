import { execFile } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import test from 'ava';
import { constantsPage } from '../pages.ts';
import { readFiles, root } from './files.ts';
import type { SourceFile } from './files.ts';

const all = new Set((await readFiles(() => true)).map((file) => file.path));
const pages = await readFiles((name) => name.endsWith('.md'));
const byPath = new Map(pages.map((page) => [page.path, page]));

function withoutCode(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '');
}

/** A heading's anchor, as the common hosts of Markdown make it. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-');
}

function anchorsOf(page: SourceFile): readonly string[] {
  const text = page.text.replaceAll(/^```[\s\S]*?^```/gm, '');
  return Array.from(text.matchAll(/^#+ (.+)$/gm), ([, heading = '']) =>
    anchorOf(heading.replaceAll('`', '')),
  );
}

function brokenLinks(page: SourceFile): readonly string[] {
  const links = Array.from(withoutCode(page.text).matchAll(/\]\(([^)\s]+)\)/g), ([, link = '']) => link);
  return links
    .filter((link) => !/^[a-z]+:/.test(link) && !leadsSomewhere(page, link))
    .map((link) => `${page.path}: ${link}`);
}

function leadsSomewhere(page: SourceFile, link: string): boolean {
  const [file = '', anchor] = link.split('#');
  const target =
    file === '' ? page.path : path.posix.join(path.posix.dirname(page.path), file).replace(/\/$/, '');
  if (![...all].some((name) => name === target || name.startsWith(`${target}/`))) return false;
  const other = byPath.get(target);
  return anchor === undefined || (other !== undefined && anchorsOf(other).includes(anchor));
}

test('links between pages lead somewhere', (t) => {
  t.deepEqual(pages.flatMap(brokenLinks), []);
});

test('every page can be reached from the README', (t) => {
  const seen = new Set<string>();
  const visit = (name: string): void => {
    const page = byPath.get(name);
    if (page === undefined || seen.has(name)) return;
    seen.add(name);
    for (const [, link = ''] of withoutCode(page.text).matchAll(/\]\(([^)\s#]+)/g)) {
      const target = path.posix.join(path.posix.dirname(name), link);
      visit(target);
      for (const inside of byPath.keys())
        if (target.endsWith('/') && inside.startsWith(target)) visit(inside);
    }
  };
  visit('README.md');
  t.deepEqual(
    [...byPath.keys()].filter((name) => !seen.has(name)),
    [],
  );
});

test('every command block of the README and of getting started is one that a test executes', (t) => {
  const bad = ['README.md', 'docs/getting-started.md'].flatMap((name) =>
    Array.from(byPath.get(name)?.text.matchAll(/^```(?:sh|bash|console)(.*)$/gm) ?? [], ([line, info = '']) =>
      info.trim().startsWith('run') ? [] : [`${name}: ${line}`],
    ).flat(),
  );
  t.deepEqual(bad, []);
});

test('decisions are numbered without gaps and follow one shape', (t) => {
  const decisions = [...byPath.keys()].filter((name) => /^docs\/decisions\/\d/.test(name));
  const numbers = decisions.map((name) => Number(path.posix.basename(name).slice(0, 4)));
  t.deepEqual(
    numbers,
    numbers.map((_, index) => index + 1),
  );
  for (const name of decisions) {
    const headings = Array.from(
      byPath.get(name)?.text.matchAll(/^## (.+)$/gm) ?? [],
      ([, heading]) => heading,
    );
    t.deepEqual(headings, ['Decision', 'Why', 'Price'], name);
  }
});

test('the page of constants is what the source says (npm run pages writes it)', async (t) => {
  const [source] = await readFiles((name) => name === 'lib/constants/mod.ts');
  t.is(byPath.get('docs/reference/constants.md')?.text, constantsPage(source?.text ?? ''));
});

test('the page of the daemons lists every option that their --help lists', async (t) => {
  const page = byPath.get('docs/reference/daemons.md')?.text ?? '';
  for (const daemon of ['gateway', 'route-agent']) {
    const { stdout } = await promisify(execFile)(process.execPath, [
      path.join(root, daemon, 'main.ts'),
      '--help',
    ]);
    const options = stdout.match(/--[a-z-]+/g) ?? [];
    t.true(options.length > 5);
    t.deepEqual(
      options.filter((option) => !page.includes(`\`${option}`)),
      [],
    );
  }
});
