// Whether packets flow between a worker and its gateways, by what their devices have carried.

import { readFile } from 'node:fs/promises';

/** Packets a second that are more than the probes of one gateway: 13 asks each way at the fastest pace, and their answers. */
const QUIET = 60;

/** Compares each reading with the one before. */
export class Traffic {
  readonly #now: () => number;
  readonly #read: () => Promise<string>;
  #before: ReadonlyMap<string, number> = new Map();
  #at = 0;

  /** `read` gives what `/proc/net/dev` says. */
  constructor(
    now: () => number = () => performance.now(),
    read: () => Promise<string> = () => readFile('/proc/net/dev', 'utf8'),
  ) {
    this.#now = now;
    this.#read = read;
  }

  /** Whether any of these devices carries more than the probes of so many gateways. */
  async isBusy(devices: ReadonlySet<string>, gateways: number): Promise<boolean> {
    const after = packetsOf(await this.#read());
    const now = this.#now();
    const quiet = (QUIET * gateways * (now - this.#at)) / 1000;
    const busy = [...devices].some((device) => {
      const [was, is] = [this.#before.get(device), after.get(device)];
      return was !== undefined && is !== undefined && is - was > quiet;
    });
    this.#before = after;
    this.#at = now;
    return busy;
  }
}

/** Packets received and sent, by device: the second and the tenth number of each line. */
export function packetsOf(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').flatMap((line) => {
    const [, device, rest = ''] = /^\s*([^\s:]+):(.*)$/.exec(line) ?? [];
    const numbers = rest.trim().split(/\s+/).map(Number);
    return device === undefined ? [] : [[device, (numbers[1] ?? 0) + (numbers[9] ?? 0)] as const];
  });
  return new Map(lines);
}
