// What a member knows, in memory and on disk: every arrival is judged, kept when it is believed, and shown.

import type { Log } from '#lib/log';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { PUT } from '../server/subjects.ts';
import { integer, text } from '../trust/header.ts';
import { Ledger } from '../trust/ledger.ts';
import type { Outcome } from '../trust/merge.ts';
import { Merge } from '../trust/merge.ts';
import type { CursorState } from './cursor.ts';
import type { OpenMembership } from './membership.ts';
import { Picture } from './picture.ts';
import { Refusals } from './refusals.ts';
import type { Frame } from './store.ts';
import { loadFrames, Store } from './store.ts';

/** Subject of the frame that holds the cursor. */
const CURSOR = 'cursor';
const CURSOR_SCHEMA = v.object({
  sequence: integer(0, Number.MAX_SAFE_INTEGER),
  created: v.exactOptional(text(64)),
  session: v.exactOptional(text(64)),
});

export interface KnowledgeOptions {
  readonly membership: OpenMembership;
  /** Directory of the records. */
  readonly state: string;
  readonly log: Log;
}

/** Begins with what is on disk, judged again; what is damaged is left out with a word in the log. */
export async function openKnowledge({ membership, state, log }: KnowledgeOptions): Promise<Knowledge> {
  await mkdir(state, { recursive: true, mode: 0o700 });
  const path = join(state, 'records');
  return new Knowledge(membership, { path, log, ...(await load(path, log)) });
}

interface Start extends LoadedRecords {
  readonly path: string;
  readonly log: Log;
}

export class Knowledge implements AsyncDisposable {
  readonly ledger: Ledger;
  readonly merge: Merge;
  readonly picture: Picture;
  readonly refusals: Refusals;
  readonly store: Store;
  /** Where the records lie. */
  readonly path: string;
  #cursor: CursorState | undefined;

  constructor({ pinned, brokerAccount, fabric, own }: OpenMembership, { path, log, frames, cursor }: Start) {
    this.path = path;
    this.ledger = new Ledger({ root: pinned, brokerAccount, fabric });
    this.merge = new Merge(this.ledger);
    this.picture = new Picture(this.ledger);
    this.refusals = new Refusals(log);
    this.#cursor = cursor;
    this.#judge(`${PUT}.${brokerAccount}.dir.${own.cluster}`, own.bytes);
    for (const { subject, bytes } of frames) this.#judge(subject, bytes);
    this.store = new Store({
      path,
      live: () => this.#frames(),
      onProblem: (reason) => {
        if (reason === undefined) log.info({ path }, 'what the broker says is on disk again');
        else log.error({ path, reason }, 'what the broker says cannot be written; it is kept in memory');
      },
    });
  }

  /** How far the stream was read; undefined: read it from its beginning. */
  get cursor(): CursorState | undefined {
    return this.#cursor;
  }

  /** Judges an arrival, and keeps it on disk when it is believed or may be later. */
  learn(subject: string, bytes: Uint8Array): readonly Outcome[] {
    const outcomes = this.#judge(subject, bytes);
    for (const { verdict, waits, ...frame } of outcomes) {
      if (waits || verdict.outcome === 'accepted') this.store.append(frame);
    }
    return outcomes;
  }

  /** The directory as it is believed, ends of membership first. */
  *directory(): Iterable<readonly [subject: string, bytes: Uint8Array]> {
    const frames = [...directoryFrames(this.ledger)];
    for (const { subject, bytes } of frames.reverse()) yield [subject, bytes];
  }

  /** Keeps how far the stream was read. It is written after everything that was learnt before. */
  mark(cursor: CursorState): void {
    this.#cursor = cursor;
    this.store.append(cursorFrame(cursor));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.store[Symbol.asyncDispose]();
  }

  #judge(subject: string, bytes: Uint8Array): readonly Outcome[] {
    const outcomes = this.merge.offer(subject, bytes);
    for (const outcome of outcomes) this.refusals.note(outcome);
    return outcomes;
  }

  #frames(): readonly Frame[] {
    const cursor = this.#cursor === undefined ? [] : [cursorFrame(this.#cursor)];
    return [...framesOf(this.ledger), ...this.merge.waiting, ...cursor];
  }
}

/** Certificates come before the ends of earlier memberships. */
function* directoryFrames(ledger: Ledger): Iterable<Frame> {
  const broker = `${PUT}.${ledger.pins.brokerAccount}`;
  for (const { cluster, bytes } of ledger.members.values())
    yield { subject: `${broker}.dir.${cluster}`, bytes };
  for (const { certificate, bytes } of ledger.ends) {
    yield { subject: `${broker}.end.${certificate.account}`, bytes };
  }
}

/** Everything that is believed, records last. */
function* framesOf(ledger: Ledger): Iterable<Frame> {
  yield* directoryFrames(ledger);
  for (const { cluster, account } of ledger.members.values()) {
    for (const { slot, bytes } of ledger.recordsOf(cluster))
      yield { subject: `${PUT}.${account}.${slot}`, bytes };
  }
}

function cursorFrame(cursor: CursorState): Frame {
  return { subject: CURSOR, bytes: Buffer.from(JSON.stringify(cursor)) };
}

interface LoadedRecords {
  readonly frames: readonly Frame[];
  readonly cursor: CursorState | undefined;
}

async function load(path: string, log: Log): Promise<LoadedRecords> {
  const { frames, lost } = await loadFrames(path);
  if (lost > 0) {
    log.warn({ path, lost, kept: frames.length }, 'the end of the records file is damaged and was left out');
  }
  const last = frames.findLast(({ subject }) => subject === CURSOR);
  // With a damaged end, more may be missing than the cursor knows of: the stream is read from its beginning.
  const cursor = last === undefined || lost > 0 ? undefined : parseCursor(last.bytes);
  return { frames: frames.filter(({ subject }) => subject !== CURSOR), cursor };
}

function parseCursor(bytes: Uint8Array): CursorState | undefined {
  try {
    return v.parse(CURSOR_SCHEMA, JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch {
    return undefined;
  }
}
