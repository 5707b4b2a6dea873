// What route agents need to know, kept in the site directory as this gateway knows it.

import type { ClusterId } from '#lib/names';
import { SiteReader, removeCluster, renderCluster, writeCluster, writeClusterset } from '#site';
import type { ClustersetFile } from '#site';
import type { RemoteCluster } from '#topology';

export interface PublisherOptions {
  readonly directory: string;
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
}

/**
 * Milliseconds that a file may differ from what this gateway knows before it is put right. The cluster's gateways learn
 * of a change within milliseconds of each other, and the one that is behind must not write over the one that is ahead.
 */
const SETTLE_MS = 5000;

/** What is known of one cluster, what its file says, and whether that is the same: compared once for each pair. */
interface Compared {
  readonly known: RemoteCluster | undefined;
  readonly held: RemoteCluster | undefined;
  readonly agree: boolean;
}

/** What to publish. */
export interface Knowledge {
  readonly clusterset: ClustersetFile;
  readonly remotes: readonly RemoteCluster[];
  /** The broker has confirmed that there are no other clusters: silence never removes a file. */
  readonly complete: boolean;
}

/** Writes `clusterset.yaml` and `clusters/*.yaml`: at once what this gateway has just learnt, and after a while what differs for another reason. */
export class Publisher {
  readonly #directory: string;
  readonly #now: () => number;
  readonly #reader: SiteReader;
  readonly #compared = new Map<ClusterId, Compared>();
  readonly #differsSince = new Map<ClusterId, number>();
  #before: ReadonlyMap<ClusterId, RemoteCluster> | undefined;

  constructor({ directory, now = () => performance.now() }: PublisherOptions) {
    this.#directory = directory;
    this.#now = now;
    this.#reader = new SiteReader(directory);
  }

  /**
   * @returns milliseconds after which to call again, because something differs that has not settled; undefined when all is as known
   * @throws {Error} for the first file that cannot be written; the others were
   */
  async publish(knowledge: Knowledge): Promise<number | undefined> {
    const known = new Map(knowledge.remotes.map((remote) => [remote.id, remote]));
    const { clusters } = await this.#reader.read();
    const held = new Map(clusters.map((cluster) => [cluster.id, cluster]));
    const failures: unknown[] = [];
    await writeClusterset(this.#directory, knowledge.clusterset).catch((error: unknown) =>
      failures.push(error),
    );
    let wait: number | undefined;
    for (const id of new Set([...known.keys(), ...held.keys()])) {
      const left = this.#patience(this.#compare(id, known.get(id), held.get(id)), id, knowledge.complete);
      if (left === 0) {
        await this.#write(id, known.get(id)).catch((error: unknown) => failures.push(error));
      } else if (left !== undefined) wait = Math.min(wait ?? left, left);
    }
    this.#before = known;
    if (failures.length > 0) throw failures[0];
    return wait;
  }

  /** Tells the cluster's other hosts that it has left: each removes what it holds. */
  async leave(): Promise<void> {
    const { clusterset, clusters } = await this.#reader.read();
    if (clusterset !== undefined) await writeClusterset(this.#directory, { ...clusterset, left: true });
    for (const { id } of clusters) await removeCluster(this.#directory, id);
  }

  #compare(id: ClusterId, known: RemoteCluster | undefined, held: RemoteCluster | undefined): Compared {
    const before = this.#compared.get(id);
    if (before !== undefined && before.known === known && before.held === held) return before;
    const agree =
      known === held ||
      (known !== undefined && held !== undefined && renderCluster(known) === renderCluster(held));
    const compared = { known, held, agree };
    this.#compared.set(id, compared);
    return compared;
  }

  /** Milliseconds to wait before the file is put right; undefined where there is nothing to do. */
  #patience({ known, held, agree }: Compared, id: ClusterId, complete: boolean): number | undefined {
    if (agree) {
      this.#differsSince.delete(id);
      return undefined;
    }
    const isNews = this.#before !== undefined && this.#before.get(id) !== known;
    if (isNews || held === undefined) return 0;
    if (known === undefined && !complete) return undefined;
    const since = this.#differsSince.get(id) ?? this.#now();
    this.#differsSince.set(id, since);
    return Math.max(0, since + SETTLE_MS - this.#now());
  }

  async #write(id: ClusterId, known: RemoteCluster | undefined): Promise<void> {
    if (known === undefined) await removeCluster(this.#directory, id);
    else await writeCluster(this.#directory, known);
    this.#differsSince.delete(id);
    if (known === undefined) this.#compared.delete(id);
  }
}
