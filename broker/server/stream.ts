// Settings of the one stream.
// This module is pure.

import { PUT, STREAM, UPDATE } from './subjects.ts';

/** Longest record, in bytes. */
const MAX_RECORD = 65_536;

/**
 * NATS' stream configuration. Markers for expired messages stay off: switching them on turns roll-up on, and then any
 * writer empties the stream with one header. Purging stays possible: only the broker's own account reaches it.
 */
export function streamSettings(replicas: number): Record<string, unknown> {
  return {
    name: STREAM,
    subjects: [`${PUT}.>`],
    storage: 'file',
    retention: 'limits',
    num_replicas: replicas,
    max_msgs_per_subject: 1,
    discard: 'new',
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_consumers: -1,
    max_msg_size: MAX_RECORD,
    allow_direct: true,
    allow_rollup_hdrs: false,
    deny_delete: true,
    deny_purge: false,
    // Message ids are never sent; a short window leaves no room to swallow another member's write by guessing one.
    duplicate_window: 100_000_000,
    republish: { src: `${PUT}.>`, dest: `${UPDATE}.>` },
  };
}
