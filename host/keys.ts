// A gateway's WireGuard keys, one a lane, made where they are used and never sent anywhere.

import { mkdir, readFile, readdir, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceFile } from '#lib/durable';
import { codeOf, messageOf } from '#lib/errors';
import { PrivateKey } from '#lib/wireguard';

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
      const path = keyPath(stateDir, lane);
      const text = await readFile(path, 'utf8').catch((cause: unknown) => missing(path, cause));
      const key = text === undefined ? undefined : parse(path, text, replaced);
      keys.push(key ?? (await make(path)));
    }
  } catch (error) {
    return { keys, replaced, failure: error instanceof Error ? error : new Error(String(error)) };
  }
  return { keys, replaced };
}

/** Replaces the key of a lane: its file has the new one before anybody gets it, so a restart goes on with it. */
export async function renewLaneKey(stateDir: string, lane: number): Promise<PrivateKey> {
  return await make(keyPath(stateDir, lane));
}

/** Since when lanes 0 to `lanes` − 1 have their keys, in milliseconds since 1970; undefined where that cannot be told. */
export async function laneKeyTimes(stateDir: string, lanes: number): Promise<(number | undefined)[]> {
  const paths = Array.from({ length: lanes }, (_, lane) => keyPath(stateDir, lane));
  return await Promise.all(
    paths.map((path) =>
      stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => undefined,
      ),
    ),
  );
}

/** Seconds since 1970 that no key can have been made at. */
const ASKED = { wished: 24 * 3600, forced: 0 } as const;

/**
 * Asks for new keys: the files' times are set back, so that they are too old for the gateway that uses them. Those of 1970
 * itself are replaced at once, whoever stands in. It needs no daemon to be heard, and outlives every restart.
 *
 * @param forced lanes to be replaced so
 * @returns how many lanes there are
 */
export async function wishLaneKeys(stateDir: string, forced: ReadonlySet<number>): Promise<number> {
  const directory = join(stateDir, KEYS_DIRECTORY);
  const names = (await readdir(directory)).filter((name) => /^lane-\d\.key$/.test(name));
  for (const name of names) {
    const time = forced.has(Number(/\d/.exec(name))) ? ASKED.forced : ASKED.wished;
    await utimes(join(directory, name), time, time);
  }
  return names.length;
}

function keyPath(stateDir: string, lane: number): string {
  return join(stateDir, KEYS_DIRECTORY, `lane-${lane}.key`);
}

function missing(path: string, cause: unknown): undefined {
  if (codeOf(cause) === 'ENOENT') return undefined;
  const reason = messageOf(cause);
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
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await replaceFile(path, `${key.reveal()}\n`, 0o600);
  } catch (cause) {
    throw new Error(`Cannot write ${path}: ${messageOf(cause)}`, { cause });
  }
  return key;
}
