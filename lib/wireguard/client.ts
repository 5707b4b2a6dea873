// Reads devices and configures them, through `wg`.

import type { Run } from '#lib/linux';
import type { DeviceConfig } from './config.ts';
import type { Device } from './device.ts';
import type { DeviceChange, DiffOptions } from './diff.ts';
import { checkConfig, diffDevice } from './diff.ts';
import { WireGuardError } from './errors.ts';
import { parseDump } from './parse.ts';
import { renderArguments, renderConf, renderRemovals } from './render.ts';

/** Milliseconds. A userspace device that hangs does not answer `wg`, and routes around it must not wait for long. */
const DUMP_MS = 3000;

/** All WireGuard devices of this network namespace, ours and others. Rejects with {@link WireGuardError}. */
export async function readDevices(run: Run): Promise<Device[]> {
  try {
    return parseDump(await run({ argv: ['wg', 'show', 'all', 'dump'], timeoutMs: DUMP_MS }));
  } catch (error) {
    if (error instanceof SyntaxError) throw error;
    throw new WireGuardError('list WireGuard devices', error);
  }
}

export interface ApplyDevicesOptions {
  /**
   * What was wanted before. An endpoint that has changed since is written at once; any other that differs is where a
   * living peer has roamed to, and is left until its handshake is stale.
   */
  readonly before?: readonly DeviceConfig[];
  /** Milliseconds since 1970. @default Date.now */
  readonly now?: () => number;
}

export interface DevicesApplied {
  /** What differed, and was therefore attempted. */
  readonly changes: readonly DeviceChange[];
  readonly outcome: 'unchanged' | 'changed' | 'incomplete';
  /** One for each device that is missing or could not be configured; the others were. */
  readonly failures: readonly WireGuardError[];
}

/**
 * Makes the named devices hold exactly this; others are left alone. Rejects with RangeError, before anything is
 * touched, where two peers of a device claim one CIDR, and with {@link WireGuardError} where devices cannot be listed.
 */
export async function applyDevices(
  run: Run,
  wanted: readonly DeviceConfig[],
  options: ApplyDevicesOptions = {},
): Promise<DevicesApplied> {
  for (const config of wanted) checkConfig(config);
  if (wanted.length === 0) return { changes: [], outcome: 'unchanged', failures: [] };
  const held = new Map((await readDevices(run)).map((device) => [device.name, device]));
  const before = new Map(options.before?.map((config) => [config.name, config]));
  const now = (options.now ?? Date.now)() / 1000;
  return await write(run, wanted, held, (name) => ({ now, before: before.get(name) }));
}

/**
 * Writes what is wanted otherwise than before, without looking, on devices that are known to hold `before`. What differs
 * for another reason stays until {@link applyDevices} looks. Rejects with RangeError as that does.
 */
export async function changeDevices(
  run: Run,
  wanted: readonly DeviceConfig[],
  before: readonly DeviceConfig[],
): Promise<DevicesApplied> {
  for (const config of wanted) checkConfig(config);
  const known = new Map(before.map((config) => [config.name, config]));
  const held = new Map(before.map((config) => [config.name, deviceOf(config)]));
  return await write(run, wanted, held, (name) => ({ now: 0, before: known.get(name) }));
}

/** A device that holds a config and has heard of nobody. */
function deviceOf({ privateKey, peers, ...settings }: DeviceConfig): Device {
  const silent = { hasPresharedKey: false, latestHandshake: 0, received: 0, sent: 0 };
  return {
    ...settings,
    publicKey: privateKey.publicKey,
    peers: peers.map((peer) => ({ ...peer, ...silent })),
  };
}

async function write(
  run: Run,
  wanted: readonly DeviceConfig[],
  held: ReadonlyMap<string, Device>,
  optionsOf: (name: string) => DiffOptions,
): Promise<DevicesApplied> {
  const pairs = wanted.flatMap((config) => {
    const device = held.get(config.name);
    const change = device && diffDevice(device, config, optionsOf(config.name));
    return change === undefined ? [] : { change, config };
  });
  const failed = await Promise.all(pairs.map(({ change, config }) => configure(run, change, config)));
  const absent = wanted.filter(({ name }) => !held.has(name)).map(({ name }) => missing(name));
  const failures = [...absent, ...failed.flat()];
  const changes = pairs.map(({ change }) => change);
  const done = changes.length > 0 ? 'changed' : 'unchanged';
  return { changes, outcome: failures.length > 0 ? 'incomplete' : done, failures };
}

function missing(name: string): WireGuardError {
  const reason = new Error('there is no such WireGuard device');
  return new WireGuardError(`configure "${name}"`, reason, { isNotFound: true });
}

/**
 * `wg` opens /dev/stdin by name, which Linux refuses for a socket, and Node gives its children sockets: `cat` makes it
 * a pipe.
 */
const ADDCONF = 'cat | wg addconf "$1" /dev/stdin';

/** Additions first: they take over what the removed peers have. */
async function configure(run: Run, change: DeviceChange, config: DeviceConfig): Promise<WireGuardError[]> {
  const { name } = change;
  try {
    const set = renderArguments(change);
    if (set !== undefined) {
      await run({ argv: ['wg', 'set', name, ...set] });
      return [];
    }
    const conf = renderConf(change, config.privateKey.reveal());
    if (conf !== undefined) await run({ argv: ['sh', '-c', ADDCONF, 'sh', name], input: conf });
    for (const peers of renderRemovals(change)) await run({ argv: ['wg', 'set', name, ...peers] });
    return [];
  } catch (error) {
    return [new WireGuardError(`configure "${name}"`, error)];
  }
}
