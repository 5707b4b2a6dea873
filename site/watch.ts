// Notice of every change in a site directory, from the kernel where it tells and by looking where it does not.

import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CLUSTERSET_FILE, CLUSTERS_DIRECTORY, DRAINS_FILE, SITE_FILE, clusterFiles } from './read.ts';

export interface WatchOptions {
  readonly signal: AbortSignal;
  /** Milliseconds that events are gathered for: a copier writes many files at once. */
  readonly settleMs?: number;
  /** Milliseconds between looks, for file systems that tell nothing (network shares, overlays, replaced directories). */
  readonly pollMs?: number;
}

/** Yields at once, and then once for every batch of changes, until the signal aborts. */
export async function* watchSite(directory: string, options: WatchOptions): AsyncIterable<void> {
  const { signal, settleMs = 10, pollMs = 10_000 } = options;
  using eyes = new Eyes(directory, signal);
  let seen = '';
  while (!signal.aborted) {
    await eyes.open();
    const now = await signature(directory);
    if (now !== seen) yield;
    seen = now;
    const woken = await eyes.change(pollMs);
    if (woken) await delay(settleMs, undefined, { signal }).catch(() => undefined);
  }
}

/** inotify on the two directories; opened anew when one has been replaced. */
class Eyes {
  readonly #paths: readonly string[];
  readonly #watchers = new Map<string, { inode: bigint; watcher: FSWatcher }>();
  #changed = Promise.withResolvers<void>();

  constructor(directory: string, signal: AbortSignal) {
    this.#paths = [directory, join(directory, CLUSTERS_DIRECTORY)];
    signal.addEventListener('abort', () => this.#changed.resolve(), { once: true });
  }

  async open(): Promise<void> {
    for (const path of this.#paths) {
      const inode = await stat(path, { bigint: true }).then(
        ({ ino }) => ino,
        () => undefined,
      );
      const held = this.#watchers.get(path);
      if (held?.inode === inode) continue;
      held?.watcher.close();
      this.#watchers.delete(path);
      if (inode !== undefined) this.#watch(path, inode);
    }
  }

  /** Watches may run out (ENOSPC) or be unknown to a file system: looking goes on without. */
  #watch(path: string, inode: bigint): void {
    try {
      const watcher = watch(path, { persistent: false }, () => this.#changed.resolve());
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(path);
      });
      this.#watchers.set(path, { inode, watcher });
    } catch {
      this.#watchers.delete(path);
    }
  }

  /** True as soon as something changed, false after `ms`. */
  async change(ms: number): Promise<boolean> {
    const changed = this.#changed.promise.then(() => true);
    const late = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => late.resolve(false), ms);
    const woken = await Promise.race([changed, late.promise]);
    clearTimeout(timer);
    this.#changed = Promise.withResolvers<void>();
    return woken;
  }

  [Symbol.dispose](): void {
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }
}

/** Text that differs whenever a file of the directory came, went or was written. */
async function signature(directory: string): Promise<string> {
  const files = await clusterFiles(directory).catch(() => []);
  const own = [SITE_FILE, CLUSTERSET_FILE, DRAINS_FILE].map((file) => join(directory, file));
  const paths = [...own, ...files];
  const parts = await Promise.all(
    paths.map((path) =>
      stat(path, { bigint: true }).then(
        ({ ino, mtimeNs, size }) => `${path} ${ino} ${mtimeNs} ${size}`,
        () => `${path} -`,
      ),
    ),
  );
  return parts.join('\n');
}
