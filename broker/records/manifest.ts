// A cluster's list of its own live slots, by which a reader notices that the broker withholds one.

import * as v from 'valibot';
import { integer } from '../trust/header.ts';

/** Major version of the schema below. */
export const MANIFEST_SCHEMA = 1;
/** Longest manifest before inflating, in bytes: 272 slots of at most 160 bytes. */
export const MANIFEST_LIMIT = 49_152;
/** Its slot. */
export const MANIFEST_SLOT = 'm';

/** One live slot: the record that a reader should hold, or a newer one. */
export interface ManifestEntry {
  readonly slot: string;
  readonly epoch: number;
  readonly version: number;
  /** SHA-256 of the record's signed bytes, hexadecimal. */
  readonly digest: string;
}

/** Sorted by slot. */
export interface Manifest {
  readonly slots: readonly ManifestEntry[];
}

export const MANIFEST: v.GenericSchema<unknown, Manifest> = v.object({
  slots: v.pipe(
    v.array(
      v.object({
        slot: v.pipe(v.string(), v.regex(/^[a-z]{1,8}(\.\d{1,3})?$/)),
        epoch: integer(0, Number.MAX_SAFE_INTEGER),
        version: integer(1, Number.MAX_SAFE_INTEGER),
        digest: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
      }),
    ),
    v.maxLength(272),
  ),
});
