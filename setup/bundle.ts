// Bundles each program into one file under `.cache/dist`, and does nothing while what it was made from has not changed.

import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import type { BuildOptions, Plugin } from 'esbuild';
import * as v from 'valibot';
import { SetupError } from './say.ts';

const root = path.dirname(import.meta.dirname);
const dist = path.join(root, '.cache', 'dist');

/** Program → its entry file. Daemons are minified: less to parse and to keep in memory on every node. */
const PROGRAMS = {
  clusterctl: { entry: 'clusterctl/main.ts', minify: false },
  'isthmus-gateway': { entry: 'gateway/main.ts', minify: true },
  'isthmus-route-agent': { entry: 'route-agent/main.ts', minify: true },
  'lab-pod': { entry: 'lab/pod/main.ts', minify: false },
} as const;

export type Program = keyof typeof PROGRAMS;

/** Narrows text to a program's name. */
function isProgram(name: string): name is Program {
  return Object.hasOwn(PROGRAMS, name);
}

/** Names of all programs that can be bundled. */
export const programNames: readonly Program[] = Object.keys(PROGRAMS).filter(isProgram);

/** Dependencies in CommonJS call `require`, which a module has to make for itself. */
const BANNER = `import { createRequire as isthmusRequire } from 'node:module'; const require = isthmusRequire(import.meta.url);`;

/**
 * prom-client's index also loads what we never use: a push gateway's client and the cluster module, and with them all of
 * node:http, https and zlib. That is 8 to 13 MiB of resident memory on every node.
 */
const SLIM: Plugin = {
  name: 'slim',
  setup(build) {
    build.onResolve(
      { filter: /^\.\/lib\/(pushgateway|cluster|defaultMetrics|summary)$/ },
      ({ path: file, importer }) =>
        importer.endsWith('/prom-client/index.js') ? { path: file, namespace: 'left-out' } : undefined,
    );
    build.onLoad({ filter: /./, namespace: 'left-out' }, () => ({ contents: '' }));
  },
};

const OPTIONS = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  sourcemap: 'external',
  sourcesContent: false,
  legalComments: 'none',
  metafile: true,
  write: false,
  logLevel: 'silent',
  banner: { js: BANNER },
  plugins: [SLIM],
} as const satisfies BuildOptions;

/** What a bundle was made from: file → digest, besides packages, which the lockfile stands for. */
const Inputs = v.record(v.string(), v.string());
type Inputs = v.InferOutput<typeof Inputs>;

function digest(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('base64url');
}

async function digestFile(file: string): Promise<string> {
  return digest(await readFile(path.join(root, file)).catch(() => ''));
}

async function digestFiles(files: Iterable<string>): Promise<Inputs> {
  const pairs = [...new Set(files)].toSorted().map(async (file) => [file, await digestFile(file)] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

/** Files whose change changes every bundle. */
const COMMON = ['package-lock.json', 'package.json', 'tsconfig.json', 'setup/bundle.ts'];

/** The bundle's path if it is there and everything that it was made from is unchanged. */
async function findFresh(name: Program): Promise<string | undefined> {
  const file = path.join(dist, `${name}.mjs`);
  try {
    const made = v.parse(Inputs, JSON.parse(await readFile(`${file}.inputs.json`, 'utf8')));
    const now = await digestFiles(Object.keys(made));
    const isFresh = Object.entries(made).every(([input, was]) => now[input] === was);
    return isFresh && (await readFile(file)).length > 0 ? file : undefined;
  } catch {
    return undefined;
  }
}

/** A rename makes the file appear whole, also to a program that starts meanwhile. */
async function place(file: string, data: string | Uint8Array): Promise<void> {
  const fresh = `${file}.${process.pid}`;
  await writeFile(fresh, data);
  await rename(fresh, file);
}

async function build(name: Program): Promise<string> {
  const { build: esbuild } = await import('esbuild');
  const { entry, minify } = PROGRAMS[name];
  const outfile = path.join(dist, `${name}.mjs`);
  const result = await esbuild({ ...OPTIONS, minify, entryPoints: [entry], outfile });
  const own = Object.keys(result.metafile.inputs).filter((file) => !/^(node_modules\/|left-out:)/.test(file));
  const inputs = await digestFiles([...COMMON, ...own]);
  await mkdir(dist, { recursive: true });
  for (const output of result.outputFiles) await place(output.path, output.contents);
  await chmod(outfile, 0o755);
  await place(`${outfile}.inputs.json`, JSON.stringify(inputs, undefined, 1));
  return outfile;
}

/**
 * Builds the program unless it is fresh.
 *
 * @returns the path of its bundle
 * @throws {Error} esbuild's, with file and line, if the source does not bundle
 * @throws {SetupError} if the checkout is somebody else's and its bundle is old
 */
export async function bundle(name: Program): Promise<string> {
  try {
    return (await findFresh(name)) ?? (await build(name));
  } catch (cause) {
    if (!(cause instanceof Error && /^(EACCES|EPERM|EROFS)\b/.test(cause.message))) throw cause;
    const remedy = 'Run the command once as the owner of this checkout or as root';
    throw new SetupError(`Cannot bundle "${name}": ${cause.message}. ${remedy}`, { cause });
  }
}

if (process.argv[1] === import.meta.filename) {
  for (const name of process.argv.slice(2)) {
    if (!isProgram(name))
      throw new SetupError(`Cannot bundle "${name}": it is none of ${programNames.join(', ')}`);
    process.stdout.write(`${await bundle(name)}\n`);
  }
}
