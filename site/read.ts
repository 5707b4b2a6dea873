// A site directory, read; files that have not changed are the same objects as before.

import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { codeOf, messageOf } from '#lib/errors';
import type { ClusterId } from '#lib/names';
import type { RemoteCluster } from '#topology';
import { SiteError } from './error.ts';
import { NO_DRAINS, parseCluster, parseClusterset, parseDrains, parseSite } from './parse.ts';
import type { ClustersetFile, Drains, Site } from './parse.ts';

/** File names within a site directory. */
export const SITE_FILE = 'site.yaml';
export const CLUSTERSET_FILE = 'clusterset.yaml';
export const CLUSTERS_DIRECTORY = 'clusters';
export const DRAINS_FILE = 'drains.yaml';

/** What a site directory says. */
export interface SiteDirectory {
  readonly site: Site;
  /** Absent until a gateway has written it. */
  readonly clusterset: ClustersetFile | undefined;
  /** Other clusters, sorted by id; one whose file was lost since the last reading is among them. */
  readonly clusters: readonly RemoteCluster[];
  /** Listed in `clusterset.yaml`, without a file that can be used, now or before. */
  readonly missing: readonly ClusterId[];
  /** Files that gateways write and that cannot be used: the last usable content counts, where there was one. */
  readonly faults: readonly Error[];
}

/** One file as it stood. */
interface Kept<T> {
  readonly signature: string;
  /** Last content that could be used. */
  readonly value: T | undefined;
  readonly fault: Error | undefined;
}

/** Files of one kind: parsed when they change, and only then. */
class FileCache<T> {
  readonly #parse: (text: string, file: string) => T;
  readonly #kept = new Map<string, Kept<T>>();

  constructor(parse: (text: string, file: string) => T) {
    this.#parse = parse;
  }

  /** Undefined for a file that is not there. */
  async load(path: string): Promise<Kept<T> | undefined> {
    const before = this.#kept.get(path);
    const now = await this.#look(path, before);
    if (now === undefined) this.#kept.delete(path);
    else this.#kept.set(path, now);
    return now;
  }

  /** Every file among `paths` that is there. */
  async loadAll(paths: readonly string[]): Promise<Kept<T>[]> {
    const wanted = new Set(paths);
    for (const path of this.#kept.keys()) if (!wanted.has(path)) this.#kept.delete(path);
    const all: Kept<T>[] = [];
    for (const path of paths) {
      const file = await this.load(path);
      if (file !== undefined) all.push(file);
    }
    return all;
  }

  async #look(path: string, before: Kept<T> | undefined): Promise<Kept<T> | undefined> {
    let signature = '';
    try {
      const { ino, mtimeNs, size } = await stat(path, { bigint: true });
      signature = `${ino} ${mtimeNs} ${size}`;
      if (before?.signature === signature) return before;
      const text = await readFile(path, 'utf8');
      return { signature, value: this.#parse(text, path), fault: undefined };
    } catch (error) {
      if (isMissing(error)) return undefined;
      const fault = error instanceof SiteError ? error : unreadable(path, error);
      return { signature, value: before?.value, fault };
    }
  }
}

/** Reads one directory again and again, and parses only what changed. */
export class SiteReader {
  readonly #directory: string;
  readonly #own = new FileCache(parseSite);
  readonly #clusterset = new FileCache(parseClusterset);
  readonly #clusters = new FileCache(parseNamed);
  readonly #drains = new FileCache(parseDrains);
  /** The clusters of the last reading. */
  #recalled: readonly RemoteCluster[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * @throws {SiteError} when `site.yaml` cannot be used
   * @throws {Error} when it cannot be read, with `cause`
   */
  async read(): Promise<SiteDirectory> {
    const site = await this.site();
    const { clusters, faults, ...written } = await this.written();
    const isOurs = written.clusterset?.cluster === site.id;
    const [clusterset, other] = isOurs ? [written.clusterset] : [undefined, written.clusterset];
    const usable = new Map(clusters.map((cluster) => [cluster.id, cluster]));
    const lost = (clusterset?.clusters ?? []).filter((id) => !usable.has(id));
    const recalled = this.#recalled.filter(({ id }) => lost.includes(id));
    this.#recalled = sortedById([...clusters, ...recalled]);
    const missing = lost.filter((id) => !recalled.some((cluster) => cluster.id === id));
    const reasons = [
      ...(other === undefined ? [] : [otherCluster(this.#directory, site.id, other)]),
      ...lost.map((id) => lostFile(this.#directory, id)),
    ];
    return { site, clusterset, clusters: this.#recalled, missing, faults: [...faults, ...reasons] };
  }

  /** What gateways have written, as it stands. */
  async written(): Promise<Pick<SiteDirectory, 'clusterset' | 'clusters' | 'faults'>> {
    const clusterset = await this.#clusterset.load(join(this.#directory, CLUSTERSET_FILE));
    const files = await this.#clusters.loadAll(await clusterFiles(this.#directory));
    const clusters = sortedById(files.flatMap(({ value }) => value ?? []));
    const faults = [clusterset, ...files].flatMap((file) => file?.fault ?? []);
    return { clusterset: clusterset?.value, clusters, faults };
  }

  /** `site.yaml` alone. Throws as {@link SiteReader.read} does. */
  async site(): Promise<Site> {
    const path = join(this.#directory, SITE_FILE);
    const file = await this.#own.load(path);
    if (file === undefined) {
      throw new SiteError(
        { file: path, line: 0, field: '' },
        'there is no such file. Write it as docs/reference/site.md describes',
      );
    }
    if (file.fault !== undefined) throw file.fault;
    if (file.value === undefined) throw new Error(`Cannot read ${path}: it has no content`);
    return file.value;
  }

  /**
   * `drains.yaml`: nothing is drained where there is none.
   * @throws {SiteError} when it cannot be used and never could
   */
  async drains(): Promise<Pick<SiteDirectory, 'faults'> & { readonly drains: Drains }> {
    const file = await this.#drains.load(join(this.#directory, DRAINS_FILE));
    if (file === undefined) return { drains: NO_DRAINS, faults: [] };
    if (file.value === undefined) throw file.fault ?? new Error(`Cannot read ${DRAINS_FILE}`);
    return { drains: file.value, faults: file.fault === undefined ? [] : [file.fault] };
  }
}

function sortedById(clusters: readonly RemoteCluster[]): RemoteCluster[] {
  return clusters.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** Its index, or its departure, is not this cluster's. */
function otherCluster(directory: string, own: ClusterId, { cluster }: ClustersetFile): Error {
  const path = join(directory, CLUSTERSET_FILE);
  return new Error(`Cannot use ${path}: it is of cluster "${cluster}", and ${SITE_FILE} describes "${own}"`);
}

function lostFile(directory: string, id: ClusterId): Error {
  const path = join(directory, CLUSTERS_DIRECTORY, `${id}.yaml`);
  return new Error(
    `Cannot read ${path}: ${CLUSTERSET_FILE} lists "${id}", and there is no file that can be used`,
  );
}

/** One reading of a site directory, for programs that end soon. */
export async function readSite(directory: string): Promise<SiteDirectory> {
  return await new SiteReader(directory).read();
}

/** Paths of `clusters/*.yaml`, sorted. A directory that is not there holds none. */
export async function clusterFiles(directory: string): Promise<string[]> {
  const folder = join(directory, CLUSTERS_DIRECTORY);
  try {
    const names = await readdir(folder);
    return names
      .filter((name) => name.endsWith('.yaml') && !name.startsWith('.'))
      .toSorted()
      .map((name) => join(folder, name));
  } catch (error) {
    if (isMissing(error)) return [];
    throw unreadable(folder, error);
  }
}

/** A cluster's file carries its id twice, so that a copy under another name is not a second cluster. */
function parseNamed(text: string, file: string): RemoteCluster {
  const cluster = parseCluster(text, file);
  if (`${cluster.id}.yaml` === basename(file)) return cluster;
  const reason = `it is "${cluster.id}"; wanted the id that the file is named by`;
  throw new SiteError({ file, line: 1, field: 'cluster' }, reason);
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '');
}

function unreadable(path: string, cause: unknown): Error {
  const reason = messageOf(cause);
  return new Error(`Cannot read ${path}: ${reason}`, { cause });
}
