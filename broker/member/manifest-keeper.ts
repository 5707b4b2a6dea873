// Keeps this gateway's records listed in the cluster's manifest, which all of its gateways write in turn.
//
// No election: whoever finds its own records missing writes the next version of what it read, on the condition that
// nobody else has written in between (the server compares the sequence that it replaces).

import type { NatsConnection } from '@nats-io/nats-core';
import { headers } from '@nats-io/nats-core';
import { isDeepStrictEqual } from 'node:util';
import type { ManifestEntry } from '../records/manifest.ts';
import { MANIFEST_SCHEMA, MANIFEST_SLOT } from '../records/manifest.ts';
import { PUT } from '../server/subjects.ts';
import type { HeldRecord } from '../trust/ledger.ts';
import { signRecord } from '../trust/record.ts';
import type { Stored } from './direct-get.ts';
import { readLast } from './direct-get.ts';
import type { PublisherOptions } from './publisher.ts';
import { put } from './put.ts';

/** Slots that this gateway speaks for, and what stands in them. */
export interface OwnRecords {
  readonly slots: ReadonlySet<string>;
  readonly live: readonly HeldRecord[];
}

/**
 * One round: reads the manifest and writes the next one if ours is not listed as it is, or puts back what was lost.
 * @throws {Error} when another gateway was faster, or the broker does not answer: try again later
 */
export async function keepManifest(
  connection: NatsConnection,
  options: PublisherOptions,
  own: OwnRecords,
): Promise<void> {
  const { ledger, membership, onSigned } = options;
  const { cluster, account } = membership.own;
  const subject = `${PUT}.${account}.${MANIFEST_SLOT}`;
  const found = await readLast(connection, subject);
  if (found !== undefined) onSigned(subject, found.bytes);
  const held = ledger.record(cluster, MANIFEST_SLOT);
  const listed = entriesOf(held);
  const wanted = withOwn(listed, own);
  if (!isDeepStrictEqual(listed, wanted)) {
    const bytes = await sign(options, held, wanted);
    await put(connection, { slot: MANIFEST_SLOT, bytes }, replacing(found));
    onSigned(subject, bytes);
  } else if (held !== undefined && isOther(found, held)) {
    await put(connection, held, replacing(found));
  }
}

/** Only what is in the manifest now may be replaced; the server refuses otherwise. */
function replacing(found: Stored | undefined): ReturnType<typeof headers> {
  const condition = headers();
  condition.set('Nats-Expected-Last-Subject-Sequence', String(found?.sequence ?? 0));
  return condition;
}

function isOther(found: Stored | undefined, held: HeldRecord): boolean {
  return found === undefined || Buffer.compare(found.bytes, held.bytes) !== 0;
}

function entriesOf(held: HeldRecord | undefined): readonly ManifestEntry[] {
  return held?.content?.kind === 'manifest' ? held.content.manifest.slots : [];
}

/** The others' entries as they are, ours as they should be. */
function withOwn(listed: readonly ManifestEntry[], { slots, live }: OwnRecords): readonly ManifestEntry[] {
  const others = listed.filter((entry) => !slots.has(entry.slot));
  const ours = live.map(({ slot, epoch, version, digest }) => ({ slot, epoch, version, digest }));
  return [...others, ...ours].sort((a, b) => (a.slot < b.slot ? -1 : 1));
}

async function sign(
  { counters, membership, now }: PublisherOptions,
  held: HeldRecord | undefined,
  slots: readonly ManifestEntry[],
): Promise<Uint8Array> {
  const { own, pinned, identity } = membership;
  const counter = await counters.nextShared(MANIFEST_SLOT, held);
  const place = { clusterset: pinned.clusterset, cluster: own.cluster, account: own.account };
  const draft = {
    ...place,
    kind: 'manifest',
    slot: MANIFEST_SLOT,
    schema: MANIFEST_SCHEMA,
    content: { slots },
  };
  return signRecord({ ...draft, ...counter }, identity, now());
}
