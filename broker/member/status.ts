// What a member can say about its view of the broker, for /state and for operators.
// This module is pure.

import type { Condition } from '#lib/conditions';
import type { ClusterId } from '#lib/names';
import type { RefusalCode } from '../trust/refusal.ts';

/** Something that was refused and has not been replaced by something acceptable since. */
export interface StandingRefusal {
  readonly subject: string;
  readonly code: RefusalCode;
  readonly reason: string;
}

/** A record that is believed. */
export interface BelievedRecord {
  readonly cluster: ClusterId;
  readonly slot: string;
  readonly epoch: number;
  readonly version: number;
  /** What the slot held was withdrawn. */
  readonly tombstone: boolean;
}

/** One slot that this gateway writes. */
export interface OwnSlot {
  readonly slot: string;
  readonly epoch: number;
  readonly version: number;
  /** The broker holds it as it should be, as far as we know. */
  readonly acknowledged: boolean;
  /** Times it was put back because the broker had lost it or held something else. */
  readonly reasserted: number;
  /** Times it was said anew because somebody with this cluster's key had said something newer. */
  readonly contested: number;
}

export interface BrokerStatus {
  /** The own cluster, as the membership certificate names it. */
  readonly cluster: ClusterId;
  readonly connected: boolean;
  /** `host:port` of the server that we are, or were last, connected to. */
  readonly server?: string;
  /** Everything that the stream held was read since the connection was made. */
  readonly synced: boolean;
  /**
   * What is known is at least what was known before: from the disk, or from a reading of the whole stream. False where
   * the records file was missing or damaged and the broker has not been read since.
   */
  readonly complete: boolean;
  /** Last sequence of the stream up to which nothing is missing. */
  readonly cursor: number;
  /** Milliseconds since the membership agent was heard; absent: never. */
  readonly beaconAge?: number;
  readonly members: number;
  /** Records and certificates that wait for another to arrive. */
  readonly waiting: number;
  readonly accepted: number;
  readonly refused: Readonly<Partial<Record<RefusalCode, number>>>;
  readonly standing: readonly StandingRefusal[];
  /** By cluster and slot; made when it is read. */
  readonly records: readonly BelievedRecord[];
  /** Holes found in the live updates, and readings of the whole stream. */
  readonly gaps: number;
  readonly resyncs: number;
  readonly own: readonly OwnSlot[];
  /** Absent: what was learnt is on disk. */
  readonly storeProblem?: string;
  readonly conditions: readonly Condition[];
}
