import test from 'ava';
import * as constants from '#lib/constants';
import { isProgramText, readFiles, withoutComments } from './files.ts';
import type { SourceFile } from './files.ts';

const files = await readFiles(() => true);

/** `path:line: match` of each occurrence; this file builds its patterns from pieces so as not to find itself. */
function find(pattern: RegExp, among: readonly SourceFile[]): readonly string[] {
  return among.flatMap((file) =>
    file.text.split('\n').flatMap((line, index) => {
      const [match] = pattern.exec(line) ?? [];
      return match === undefined ? [] : [`${file.path}:${index + 1}: ${match}`];
    }),
  );
}

test('no file names the host of a registry or mirror: whoever installs has their own', (t) => {
  const hosts = [
    ['registry', 'npmjs', 'org'],
    ['registry', 'yarnpkg', 'com'],
    ['pypi', 'org'],
    ['pythonhosted', 'org'],
    ['proxy', 'golang', 'org'],
    ['sum', 'golang', 'org'],
    ['deb', 'debian', 'org'],
    ['security', 'debian', 'org'],
    ['archive', 'ubuntu', 'com'],
    ['crates', 'io'],
  ].map((parts) => parts.join('\\.'));
  t.deepEqual(find(new RegExp(hosts.join('|'), 'i'), files), []);
  const lock = files.filter((file) => file.path === 'package-lock.json');
  t.deepEqual(find(/"resolved": *"http/, lock), []);
});

test('no unfinished work and no silenced check is left in the text', (t) => {
  const words = [
    ['\\b(TO', 'DO|FIX', 'ME|XX', 'X|HA', 'CK)\\b'],
    ['test\\.(sk', 'ip|on', 'ly|to', 'do|fail', 'ing)\\('],
    ['@ts-(ign', 'ore|exp', 'ect-error|noc', 'heck)'],
    ['\\bas unk', 'nown as\\b'],
    ['(es|ox)lint-dis', 'able'],
    ['not impl', 'emented'],
  ].map((parts) => parts.join(''));
  const own = files.filter((file) => /\.(ts|mjs|sh|md|yaml)$/.test(file.path));
  t.deepEqual(find(new RegExp(words.join('|')), own), []);
});

/** How a constant could be written out: numbers of four digits or more, names with a sign in them; others occur by chance. */
function spellings([name, value]: [string, unknown]): readonly string[] {
  if (typeof value === 'string') return /[-./]/.test(value) ? [value] : [];
  if (typeof value !== 'number' || value < 4096) return [];
  const hex = name.startsWith('MARK_') ? [`0x${value.toString(16)}`] : [];
  return [String(value), value.toLocaleString('en').replaceAll(',', '_'), ...hex];
}

test('constants that meet the outside stand in lib/constants only', (t) => {
  const pattern = new RegExp(
    `(?<![\\w.])(${[...new Set(Object.entries(constants).flatMap(spellings))].join('|')})(?![\\w])`,
  );
  const programs = files
    .filter((file) => isProgramText(file.path) && !file.path.startsWith('lib/constants/'))
    .map((file) => ({ ...file, text: withoutComments(file.text) }));
  t.deepEqual(find(pattern, programs), []);
});
