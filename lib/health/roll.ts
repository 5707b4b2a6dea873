// The paths under watch, by name and by neighbour.
// This module is pure.

import { count, newGroup, newWatched } from './watched.ts';
import type { Group, PathSpec, Watched } from './watched.ts';

export class Roll {
  readonly #watched = new Map<string, Watched>();
  readonly #groups = new Map<string, Group>();
  #busy: ReadonlySet<string> = new Set();

  get(id: string): Watched | undefined {
    return this.#watched.get(id);
  }

  values(): IterableIterator<Watched> {
    return this.#watched.values();
  }

  /** Enters one that is not there yet. */
  add(spec: PathSpec, at: { now: number; dueAt: number; kickAt: number }): Watched {
    const group = this.#groups.get(spec.neighbour) ?? newGroup(this.#watched);
    this.#groups.set(spec.neighbour, group);
    group.hasTraffic = this.#busy.has(spec.neighbour);
    const watched = newWatched(spec, group, at);
    group.members.add(watched);
    count(group, watched.path, 1);
    this.#watched.set(spec.id, watched);
    return watched;
  }

  /** Takes one out; it keeps its group, which may have others. */
  remove(watched: Watched): void {
    const { spec, group, path } = watched;
    watched.isGone = true;
    this.#watched.delete(spec.id);
    group.members.delete(watched);
    count(group, path, -1);
    if (group.members.size === 0) this.#groups.delete(spec.neighbour);
  }

  /** Sets the neighbours that have traffic. Returns those that have some now and had none. */
  traffic(neighbours: ReadonlySet<string>): readonly Group[] {
    const before = this.#busy;
    this.#busy = new Set(neighbours);
    for (const name of before) this.#mark(name);
    return [...neighbours].flatMap((name) => (before.has(name) ? [] : this.#mark(name)));
  }

  #mark(name: string): readonly Group[] {
    const group = this.#groups.get(name);
    if (group === undefined) return [];
    group.hasTraffic = this.#busy.has(name);
    return [group];
  }
}
