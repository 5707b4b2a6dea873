// A steady stream of echo requests to each of several addresses.

import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { systemPath } from '#lib/linux';
import { PACE_MS } from './drill-flows.ts';
import { CliError, EXIT } from './exit.ts';

/** Bytes of each request: with fewer, flows would be too small for their paths to count as busy. */
const SIZE = 512;

/** One ping an address, in the order of the addresses. Disposal ends them without waiting. */
export interface Pings extends Disposable {
  /** What each has said so far. */
  said(): readonly string[];
  /** Ends them in order; what each has said in all. */
  stop(): Promise<readonly string[]>;
}

type Ping = ChildProcessByStdio<null, Readable, null>;

/**
 * @param seconds after which they end by themselves, should nobody be there to end them
 * @throws {CliError} where there is no ping
 */
export async function startPings(addresses: readonly string[], seconds: number): Promise<Pings> {
  const said = addresses.map(() => '');
  const pings = addresses.map((address, at) => {
    const ping = begin(address, seconds);
    ping.stdout.setEncoding('utf8').on('data', (text: string) => void (said[at] += text));
    return ping;
  });
  try {
    await Promise.all(pings.map((ping) => once(ping, 'spawn')));
  } catch (cause) {
    throw new CliError(
      EXIT.incapable,
      'Cannot measure: ping is not installed, or not on the PATH. Install that of iputils',
      { cause },
    );
  }
  return {
    said: () => said,
    stop: async () => {
      await Promise.all(pings.map(end));
      return said;
    },
    [Symbol.dispose]: () => pings.forEach((ping) => ping.kill('SIGKILL')),
  };
}

/** In a group of its own: an interrupt at the terminal is for us, who still want its figures. */
function begin(address: string, seconds: number): Ping {
  const pace = String(PACE_MS / 1000);
  return spawn('ping', ['-n', '-D', '-s', String(SIZE), '-i', pace, '-w', String(seconds), address], {
    env: { ...process.env, LC_ALL: 'C', PATH: systemPath() },
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
}

async function end(ping: Ping): Promise<void> {
  const closed = once(ping, 'close');
  if (ping.stdout.destroyed || !ping.kill('SIGINT')) return;
  await closed;
}
