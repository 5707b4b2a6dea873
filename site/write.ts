// The part of a site directory that gateways write: each file whole or not at all.

import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ClusterId } from '#lib/names';
import type { RemoteCluster } from '#topology';
import { parseCluster, parseClusterset } from './parse.ts';
import type { ClustersetFile } from './parse.ts';
import { CLUSTERSET_FILE, CLUSTERS_DIRECTORY } from './read.ts';
import { renderCluster, renderClusterset } from './render.ts';

/** Writes `clusterset.yaml` unless it says the same already. Resolves to whether it was written. */
export async function writeClusterset(directory: string, value: ClustersetFile): Promise<boolean> {
  const path = join(directory, CLUSTERSET_FILE);
  return await replace(path, renderClusterset(value), (text) =>
    renderClusterset(parseClusterset(text, path)),
  );
}

/** Writes `clusters/<id>.yaml` unless it says the same already. Resolves to whether it was written. */
export async function writeCluster(directory: string, cluster: RemoteCluster): Promise<boolean> {
  const path = clusterPath(directory, cluster.id);
  return await replace(path, renderCluster(cluster), (text) => renderCluster(parseCluster(text, path)));
}

/** Removes `clusters/<id>.yaml`, if it is there. */
export async function removeCluster(directory: string, id: ClusterId): Promise<void> {
  await rm(clusterPath(directory, id), { force: true });
}

function clusterPath(directory: string, id: ClusterId): string {
  return join(directory, CLUSTERS_DIRECTORY, `${id}.yaml`);
}

/** Compared by what they say, not by their bytes: gateways of two versions must not write against each other. */
async function replace(path: string, text: string, render: (text: string) => string): Promise<boolean> {
  const before = await readFile(path, 'utf8').then(render, () => undefined);
  if (before === text) return false;
  await mkdir(dirname(path), { recursive: true });
  await writeWhole(path, text);
  return true;
}

/**
 * A reader sees the old file or the new one. Nothing waits for the disk: after a power cut gateways write again what
 * is not there. The name begins with a dot, so no reader takes it for a cluster.
 */
async function writeWhole(path: string, text: string): Promise<void> {
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    await using file = await open(draft, 'w', 0o644);
    await file.writeFile(text);
    await rename(draft, path);
  } catch (cause) {
    await rm(draft, { force: true });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Cannot write ${path}: ${reason}`, { cause });
  }
}
