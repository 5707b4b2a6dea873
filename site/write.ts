// The part of a site directory that programs write: each file whole or not at all.

import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '#lib/errors';
import type { ClusterId } from '#lib/names';
import type { RemoteCluster } from '#topology';
import type { ClustersetFile, Drains } from './parse.ts';
import { CLUSTERSET_FILE, CLUSTERS_DIRECTORY, DRAINS_FILE } from './read.ts';
import { renderCluster, renderClusterset, renderDrains } from './render.ts';

/** Writes `clusterset.yaml`. */
export async function writeClusterset(directory: string, value: ClustersetFile): Promise<void> {
  await writeWhole(join(directory, CLUSTERSET_FILE), renderClusterset(value));
}

/** Writes `drains.yaml`. */
export async function writeDrains(directory: string, value: Drains): Promise<void> {
  // No gateway writes this one again.
  await writeWhole(join(directory, DRAINS_FILE), renderDrains(value), { flush: true });
}

/** Writes `clusters/<id>.yaml`. Ask {@link isSameCluster} first: gateways of two versions must not write against each other. */
export async function writeCluster(directory: string, cluster: RemoteCluster): Promise<void> {
  await writeWhole(clusterPath(directory, cluster.id), renderCluster(cluster));
}

/** Removes `clusters/<id>.yaml`, if it is there. */
export async function removeCluster(directory: string, id: ClusterId): Promise<void> {
  await rm(clusterPath(directory, id), { force: true });
}

function clusterPath(directory: string, id: ClusterId): string {
  return join(directory, CLUSTERS_DIRECTORY, `${id}.yaml`);
}

/**
 * A reader sees the old file or the new one. Without `flush` nothing waits for the disk: after a power cut gateways write
 * again what is not there. The name begins with a dot, so no reader takes it for a cluster.
 */
async function writeWhole(path: string, text: string, { flush = false } = {}): Promise<void> {
  // In containers every daemon is process 1, and the cluster's gateways may share the directory.
  const draft = join(dirname(path), `.${basename(path)}.${hostname()}.${process.pid}`);
  try {
    await writeFile(draft, text, { mode: 0o644, flush }).catch(async () => {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(draft, text, { mode: 0o644, flush });
    });
    await rename(draft, path);
  } catch (cause) {
    await rm(draft, { force: true });
    const reason = messageOf(cause);
    throw new Error(`Cannot write ${path}: ${reason}`, { cause });
  }
}
