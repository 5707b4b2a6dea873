// What must not move while something else is disturbed: the product's state in every kernel, and the packets of a steady stream.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEVICE_PREFIX, NFT_TABLE, ROUTE_PROTOCOL } from '#lib/constants';
import type { Lab } from '#lab';

/** Everything of ours in one kernel, in a text that is the same as long as nothing of it changes. Peers are listed in the order of their making. */
const KERNEL = `{
ip -d -o link | sed 's/^[0-9]*: //' | grep '^${DEVICE_PREFIX}[-0-9]'
for f in 4 6; do ip -$f -d -o route show table all; ip -$f rule; done | grep -w -e '${ROUTE_PROTOCOL}' -e 'dev ${DEVICE_PREFIX}[-0-9]*'
ip -d -o nexthop
wg show all dump | awk -F '\\t' 'NF == 5 { print $1, $3, $4, $5 } NF == 9 { print $1, $2, $4, $5, $9 }' | sort
nft -a -s list table inet ${NFT_TABLE}
} | sed -E 's/_timer +[0-9.]+//g; s/unbalanced_time +[0-9.]+//'`;

/** Node → what its kernel holds of ours. Counters, handshakes and times are left out. */
export async function kernels(
  lab: Lab,
  places = lab.nodes.map(({ place }) => place),
): Promise<ReadonlyMap<string, string>> {
  const texts = await Promise.all(
    places.map(async (place) => [place, await lab.place(place).exec(['sh', '-c', KERNEL])] as const),
  );
  return new Map(texts);
}

/** A pod, and the address of another one that it sends to. */
export type Stream = readonly [from: string, to: string];

export interface Moved {
  /** What the kernels reported of ours while it lasted: `place: line`. */
  readonly changes: readonly string[];
  readonly sent: number;
  /** Sent and not answered, but for one of each stream that may be under way at the end. */
  readonly lost: number;
}

/** Packets a second of one stream. */
const PACE = 25;
const OURS = new RegExp(`\\b${DEVICE_PREFIX}[-0-9]|proto(col)? ${ROUTE_PROTOCOL}\\b`);
/** A daemon that starts tries out what kinds of next hop the kernel has, on ids that nothing refers to. */
const TRIAL = /\bid 799999\d\b/;

/** Every kernel's own account of its changes, and streams of echo requests, from its start to its end. */
export class Stillness implements AsyncDisposable {
  readonly #children: { readonly child: ChildProcess; readonly said: string[]; readonly place: string }[] =
    [];
  readonly #lab: Lab;

  private constructor(lab: Lab) {
    this.#lab = lab;
  }

  static async begin(lab: Lab, streams: readonly Stream[]): Promise<Stillness> {
    const all = new Stillness(lab);
    const monitor = ['ip', 'monitor', 'link', 'route', 'nexthop', 'rule'] as const;
    for (const { place } of lab.nodes) await all.#spawn(place, monitor);
    for (const [from, to] of streams)
      await all.#spawn(from, ['ping', '-q', '-n', '-i', String(1 / PACE), to]);
    // Neither says when it has begun.
    await sleep(300);
    return all;
  }

  async #spawn(place: string, argv: readonly [string, ...string[]]): Promise<void> {
    const [program, ...args] = [...(await this.#lab.place(place).entry()), ...argv];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const said: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => said.push(line));
    this.#children.push({ child, said, place });
  }

  async end(): Promise<Moved> {
    await this[Symbol.asyncDispose]();
    const changes = this.#children.flatMap(({ said, place }) =>
      said.filter((line) => OURS.test(line) && !TRIAL.test(line)).map((line) => `${place}: ${line.trim()}`),
    );
    const counts = this.#children.flatMap(({ said }) => {
      const [, sent, received] =
        /(\d+) packets transmitted, (\d+) received/.exec(said.join('\n'))?.map(Number) ?? [];
      return sent === undefined || received === undefined ? [] : [[sent, received] as const];
    });
    return {
      changes,
      sent: counts.reduce((sum, [sent]) => sum + sent, 0),
      lost: counts.reduce((sum, [sent, received]) => sum + Math.max(0, sent - received - 1), 0),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#children.map(async ({ child }) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const closed = once(child, 'close');
        child.kill('SIGINT');
        await closed;
      }),
    );
  }
}
