// What route agents need to know, kept in the site directory as this gateway knows it.

import { isDeepStrictEqual } from 'node:util';
import type { ClusterId } from '#lib/names';
import { SiteReader, isSameCluster, removeCluster, writeCluster, writeClusterset } from '#site';
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

/** Milliseconds between two looks at a directory that nothing new has to be said in: a thousand files take 60 ms to look at. */
const LOOK_MS = 1000;
/** Files that are written side by side: the system's calls for each are waited for, not computed. */
const AT_ONCE = 16;

/** What is known of one cluster, what its file says, and whether that is the same: compared once for each pair. */
interface Compared {
  readonly known: RemoteCluster | undefined;
  readonly held: RemoteCluster | undefined;
  readonly agree: boolean;
}

/** What to publish. */
export interface Knowledge {
  readonly clusterset: Omit<ClustersetFile, 'clusters'>;
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
  /** What was put there last, whole, and when the directory was looked at for it. */
  #last: Knowledge | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<unknown> = Promise.resolve();

  constructor({ directory, now = () => performance.now() }: PublisherOptions) {
    this.#directory = directory;
    this.#now = now;
    this.#reader = new SiteReader(directory);
  }

  /**
   * Files come before the list that names them, and go after it: a reader that finds a listed file missing knows that
   * it was lost.
   * @returns milliseconds after which to call again, because something differs that has not settled; undefined when all is as known
   * @throws {Error} for the first file that cannot be written; the others were
   */
  async publish(knowledge: Knowledge): Promise<number | undefined> {
    const restMs = this.#lookedAt + LOOK_MS - this.#now();
    if (restMs > 0 && this.#last !== undefined && isSameKnowledge(this.#last, knowledge)) return restMs;
    this.#lookedAt = this.#now();
    this.#last = undefined;
    const putting = this.#put(knowledge);
    this.#running = putting.catch(() => undefined);
    const again = await putting;
    this.#last = knowledge;
    return again;
  }

  async #put({ clusterset, remotes, complete }: Knowledge): Promise<number | undefined> {
    const known = new Map(remotes.map((remote) => [remote.id, remote]));
    const written = await this.#reader.written();
    const held = new Map(written.clusters.map((cluster) => [cluster.id, cluster]));
    const ids = [...new Set([...known.keys(), ...held.keys()])].toSorted((a, b) => (a < b ? -1 : 1));
    const patience = new Map(
      ids.map((id) => [id, this.#patience(this.#compare(id, known.get(id), held.get(id)), id, complete)]),
    );
    const due = ids.filter((id) => patience.get(id) === 0);
    const gone = new Set(due.filter((id) => !known.has(id)));
    const clusters = ids.filter((id) => !gone.has(id));
    const failures: unknown[] = [];
    const attempt = (work: Promise<unknown>): Promise<unknown> =>
      work.catch((error: unknown) => failures.push(error));
    const news = remotes.filter(({ id }) => patience.get(id) === 0);
    for (let at = 0; at < news.length; at += AT_ONCE) {
      await Promise.all(news.slice(at, at + AT_ONCE).map((remote) => attempt(this.#write(remote))));
    }
    const next = { ...clusterset, clusters };
    if (!isDeepStrictEqual(written.clusterset, next)) await attempt(writeClusterset(this.#directory, next));
    for (const id of gone) await attempt(this.#remove(id));
    this.#before = known;
    if (failures.length > 0) throw failures[0];
    const waits = [...patience.values()].flatMap((left) => (left === undefined || left === 0 ? [] : left));
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  /**
   * Tells the cluster's other hosts that it has left: each removes what it holds. A publication that runs is waited for;
   * after this there must be none.
   */
  async leave(): Promise<void> {
    await this.#running;
    const { clusterset, clusters } = await this.#reader.written();
    if (clusterset !== undefined) {
      await writeClusterset(this.#directory, { ...clusterset, clusters: [], left: true });
    }
    for (const { id } of clusters) await removeCluster(this.#directory, id);
  }

  #compare(id: ClusterId, known: RemoteCluster | undefined, held: RemoteCluster | undefined): Compared {
    const before = this.#compared.get(id);
    if (before !== undefined && before.known === known && before.held === held) return before;
    const agree = known === held || (known !== undefined && held !== undefined && isSameCluster(known, held));
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
    const isNews = this.#before === undefined ? held === undefined : this.#before.get(id) !== known;
    if (isNews) return 0;
    if (known === undefined && !complete) return undefined;
    const since = this.#differsSince.get(id) ?? this.#now();
    this.#differsSince.set(id, since);
    return Math.max(0, since + SETTLE_MS - this.#now());
  }

  async #write(known: RemoteCluster): Promise<void> {
    await writeCluster(this.#directory, known);
    this.#differsSince.delete(known.id);
  }

  async #remove(id: ClusterId): Promise<void> {
    await removeCluster(this.#directory, id);
    this.#differsSince.delete(id);
    this.#compared.delete(id);
  }
}

function isSameKnowledge(a: Knowledge, b: Knowledge): boolean {
  const isSame = a.complete === b.complete && a.remotes.length === b.remotes.length;
  const areSame = isSame && a.remotes.every((remote, at) => remote === b.remotes[at]);
  return areSame && isDeepStrictEqual(a.clusterset, b.clusterset);
}
