// A gateway's WireGuard keys, one a lane, made where they are used and never sent anywhere.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PrivateKey } from '#lib/wireguard';
import { writeStateFile } from './file.ts';

/** Within a host's state directory. */
export const KEYS_DIRECTORY = 'wireguard';

/** What there is of a gateway's private keys. */
export interface LaneKeys {
  /** By lane; where one could be neither read nor made, those before it. */
  readonly keys: readonly PrivateKey[];
  /** What was wrong with files that had to be made anew. */
  readonly replaced: readonly Error[];
  /** Why keys are missing. */
  readonly failure?: Error;
}

/**
 * Reads the keys of lanes 0 to `lanes` − 1, and makes those that are missing. A file that is no key (cut off by a full
 * disk) is replaced: peers learn the new key from this gateway's record, so that costs one handshake.
 */
export async function laneKeys(stateDir: string, lanes: number): Promise<LaneKeys> {
  const keys: PrivateKey[] = [];
  const replaced: Error[] = [];
  try {
    for (let lane = 0; lane < lanes; lane += 1) {
      const path = join(stateDir, KEYS_DIRECTORY, `lane-${lane}.key`);
      const text = await readFile(path, 'utf8').catch((cause: unknown) => missing(path, cause));
      const key = text === undefined ? undefined : parse(path, text, replaced);
      keys.push(key ?? (await make(path)));
    }
  } catch (error) {
    return { keys, replaced, failure: error instanceof Error ? error : new Error(String(error)) };
  }
  return { keys, replaced };
}

function missing(path: string, cause: unknown): undefined {
  if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
  const reason = cause instanceof Error ? cause.message : String(cause);
  throw new Error(`Cannot read ${path}: ${reason}`, { cause });
}

function parse(path: string, text: string, replaced: Error[]): PrivateKey | undefined {
  try {
    return PrivateKey.parse(text.trim());
  } catch (cause) {
    replaced.push(new Error(`Cannot use ${path}: it holds no key; a new one is made`, { cause }));
    return undefined;
  }
}

async function make(path: string): Promise<PrivateKey> {
  const key = PrivateKey.generate();
  await writeStateFile(path, `${key.reveal()}\n`);
  return key;
}
