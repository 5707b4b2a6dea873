// How many bytes each peer has sent and received.

import type { Run } from '#lib/linux';
import type { PublicKey } from './public-key.ts';
import { isPublicKey } from './public-key.ts';

/** One peer of one device. Bytes of whole packets, since the device was made or the peer was added. */
export interface Transfer {
  readonly device: string;
  readonly peer: PublicKey;
  readonly received: number;
  readonly sent: number;
}

/**
 * Of all devices; none where there is none.
 * @throws {CommandError} when `wg` fails
 */
export async function readTransfers(run: Run): Promise<readonly Transfer[]> {
  return parseTransfers(await run({ argv: ['wg', 'show', 'all', 'transfer'] }));
}

/** What `wg show all transfer` prints; lines of another shape are another version's, and left out. */
export function parseTransfers(text: string): readonly Transfer[] {
  return text.split('\n').flatMap((line): Transfer[] => {
    const [device, peer = '', received, sent] = line.split('\t');
    if (device === undefined || !isPublicKey(peer)) return [];
    const [into, out] = [Number(received), Number(sent)];
    return Number.isSafeInteger(into) && Number.isSafeInteger(out)
      ? [{ device, peer, received: into, sent: out }]
      : [];
  });
}
