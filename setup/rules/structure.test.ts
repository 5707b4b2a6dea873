import test from 'ava';
import {
  importsOf,
  isProgramText,
  isTest,
  packageOf,
  readFiles,
  resolveImport,
  withoutComments,
} from './files.ts';
import type { Import, SourceFile } from './files.ts';

const source = await readFiles((name) => /\.(ts|mjs)$/.test(name));
const programs = source.filter((file) => !isTest(file.path));
/** What a pure module says of itself. */
const CLAIM = '// This module is pure.';
const byPath = new Map(source.map((file) => [file.path, file]));

/** The comment that a file begins with, without its slashes. */
function headerOf(file: SourceFile): string {
  const [header = ''] = /^(?:\/\/ .*\n)+/.exec(file.text) ?? [];
  return header
    .replace(CLAIM, '')
    .replaceAll(/^\/\/ /gm, '')
    .trim();
}

test('every module begins with what it is, in whole sentences', (t) => {
  const bad = programs.filter((file) => !/^\S[\s\S]+[.:]$/.test(headerOf(file))).map((file) => file.path);
  t.deepEqual(bad, []);
});

// ── Import arrows ────────────────────────────────────────────────────────────────────────────────────────────────

const LIB = 'lib/*';

/** Package → what it may import, and why no more. Packages that are not named here import nothing of ours. */
const ARROWS: Readonly<Record<string, { readonly may: readonly string[]; readonly why: string }>> = {
  'lib/constants': { may: ['lib/ip'], why: 'constants stand below everything' },
  'lib/linux': {
    may: ['lib/ip', 'lib/constants', 'lib/durable', 'lib/errors', 'lib/same'],
    why: 'an executor knows the kernel, not what it is used for',
  },
  'lib/wireguard': {
    may: ['lib/ip', 'lib/constants', 'lib/linux'],
    why: 'it wraps a program and knows no fleet',
  },
  'lib/durable': { may: ['lib/errors'], why: 'files are files' },
  'lib/health': { may: ['lib/ip', 'lib/constants'], why: 'it judges paths and knows no fleet' },
  'lib/probe': {
    may: ['lib/ip', 'lib/constants', 'lib/wireguard'],
    why: 'it carries questions and answers, and knows neither fleet nor verdict',
  },
  'lib/metrics': { may: ['lib/errors'], why: 'it serves what it is given' },
  'lib/nats': { may: [], why: 'it speaks a protocol and knows no records' },
  topology: { may: [LIB], why: 'the middle is pure: it must not see the broker, a directory or a daemon' },
  broker: { may: [LIB], why: 'records are verified without knowing what is made of them' },
  site: { may: [LIB, 'topology'], why: 'a site directory is read alike by all, with or without a broker' },
  host: { may: [LIB, 'topology'], why: 'it applies a plan and does not make one' },
  gateway: { may: [LIB, 'topology', 'site', 'host', 'broker'], why: 'siblings do not import each other' },
  'route-agent': { may: [LIB, 'topology', 'site', 'host'], why: 'a worker holds no broker credentials' },
  clusterctl: { may: [LIB, 'topology', 'site', 'host', 'broker'], why: 'siblings do not import each other' },
  lab: {
    may: [LIB, 'topology', 'site', 'host', 'broker', 'gateway', 'route-agent', 'clusterctl', 'setup'],
    why: 'it may import anything',
  },
  setup: { may: [LIB], why: 'it runs before anything else is there' },
};

function isAllowed(from: string, to: string): boolean {
  const may = ARROWS[from]?.may ?? [];
  return from === to || may.includes(to) || (may.includes(LIB) && to.startsWith('lib/'));
}

/** Imports of our own that leave the file's package, with the package that they lead to. */
function outside(file: SourceFile): readonly { specifier: string; to: string; isType: boolean }[] {
  return importsOf(file.text).flatMap(({ specifier, isType }) => {
    const target = resolveImport(file.path, specifier);
    if (target === undefined || packageOf(target) === packageOf(file.path)) return [];
    return [{ specifier, to: packageOf(target), isType }];
  });
}

test('packages import only along the arrows', (t) => {
  const bad = programs.flatMap((file) =>
    outside(file)
      .filter(({ to }) => !isAllowed(packageOf(file.path), to))
      .map(
        ({ to }) =>
          `${file.path} → ${to}: ${ARROWS[packageOf(file.path)]?.why ?? 'it imports nothing of ours'}`,
      ),
  );
  t.deepEqual(bad, []);
});

test('packages are entered by their door', (t) => {
  const bad = source.flatMap((file) =>
    outside(file)
      .filter(({ specifier }) => !specifier.startsWith('#'))
      .map(({ specifier }) => `${file.path} → ${specifier}`),
  );
  t.deepEqual(bad, []);
});

test('a door exports its names in alphabetical order of their modules', (t) => {
  const bad = programs
    .filter((file) => file.path.endsWith('/mod.ts') && !file.path.startsWith('lib/constants'))
    .filter((file) => {
      const modules = importsOf(file.text).map(({ specifier }) => specifier);
      return modules.join('\n') !== modules.toSorted().join('\n');
    })
    .map((file) => file.path);
  t.deepEqual(bad, []);
});

// ── Purity ───────────────────────────────────────────────────────────────────────────────────────────────────────

const isPure = (file: SourceFile): boolean => file.text.split('\n').slice(0, 6).includes(CLAIM);

/** Parsers of addresses; nothing else of Node is free of effects and surroundings. */
const PURE_BUILTINS = ['node:net'];
/** Packages that only compute. */
const PURE_PACKAGES = ['ip-cidr', 'valibot', 'yaml'];
/** Surroundings that need no import. */
const SURROUNDINGS =
  /\b(?:Date\.now|new Date\(\)|Math\.random|performance\.|process\.|console\.|setTimeout|setInterval|fetch\()/;

function impurity(file: SourceFile): readonly string[] {
  const [surrounding] = SURROUNDINGS.exec(withoutComments(file.text)) ?? [];
  const imports = importsOf(file.text)
    .filter((each) => !each.isType && !isPureImport(file.path, each))
    .map(({ specifier }) => `${file.path} imports ${specifier}`);
  return surrounding === undefined ? imports : [...imports, `${file.path} uses ${surrounding}`];
}

/** A door may have impure modules behind it: what counts is the module that each name comes from. */
function isPureImport(from: string, { specifier, names }: Import): boolean {
  const target = resolveImport(from, specifier);
  if (target === undefined) return [...PURE_BUILTINS, ...PURE_PACKAGES].includes(specifier);
  const file = byPath.get(target);
  if (file === undefined) return false;
  return isPure(file) || (names.length > 0 && names.every((name) => comesFromPure(file, name)));
}

function comesFromPure(door: SourceFile, name: string): boolean {
  const source = importsOf(door.text).find((each) => !each.isType && each.names.includes(name));
  return source !== undefined && isPureImport(door.path, { ...source, names: [name] });
}

test('modules that claim to be pure reach nothing but pure modules', (t) => {
  t.deepEqual(programs.filter(isPure).flatMap(impurity), []);
});

test('topology and lib/ip are pure in every module', (t) => {
  const bad = programs
    .filter((file) => isProgramText(file.path) && ['topology', 'lib/ip'].includes(packageOf(file.path)))
    .filter((file) => !isPure(file));
  t.deepEqual(
    bad.map((file) => file.path),
    [],
  );
});
