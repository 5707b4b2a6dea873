// How many megabits a second go from one pod to another, by iperf3.

import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { CommandError } from '#lib/linux';
import type { Lab } from './lab.ts';
import { signalProcesses } from './processes.ts';

export interface ThroughputOptions {
  /** Places: `east/pod-a`. */
  readonly from: string;
  readonly to: string;
  /** Address to send to, one that `to` has. */
  readonly address: string;
  /** @default 2 */
  readonly seconds?: number;
  /** @default 1 */
  readonly streams?: number;
  /** Sends UDP at so many megabits a second, all streams together; absent: TCP. */
  readonly udpMbps?: number;
  /** @default 5201 */
  readonly port?: number;
}

export interface Throughput {
  /** Received, without headers. */
  readonly mbps: number;
  /** UDP only: per cent of the datagrams that did not arrive. */
  readonly lostPercent?: number;
}

const sum = v.object({ bits_per_second: v.number(), lost_percent: v.optional(v.number()) });
const report = v.object({ end: v.object({ sum: v.optional(sum), sum_received: v.optional(sum) }) });

/** The server is a process of its own and ends in any case; the client is bounded, because a lost greeting hangs it for minutes. */
export async function measureThroughput(lab: Lab, options: ThroughputOptions): Promise<Throughput> {
  const port = String(options.port ?? 5201);
  const server = await lab.place(options.to).spawn({
    role: `iperf3-${port}`,
    argv: ['iperf3', '--server', '--one-off', '--port', port],
  });
  try {
    return readReport(await runClient(lab, options, port));
  } finally {
    await signalProcesses([server], 'SIGKILL');
  }
}

async function runClient(lab: Lab, options: ThroughputOptions, port: string): Promise<string> {
  const seconds = options.seconds ?? 2;
  const streams = options.streams ?? 1;
  const udp = options.udpMbps === undefined ? [] : ['--udp', '--bitrate', `${options.udpMbps / streams}M`];
  const target = ['--client', options.address, '--port', port, '--connect-timeout', '2000'] as const;
  const load = ['--time', String(seconds), '--parallel', String(streams), ...udp];
  const argv = ['iperf3', '--json', ...target, ...load] as const;
  for (let tries = 0; ; tries += 1) {
    try {
      return await lab.place(options.from).exec(argv, { timeoutMs: seconds * 1000 + 8000 });
    } catch (error) {
      const early = error instanceof CommandError && error.stdout.includes('Connection refused');
      if (!early || tries === 40) throw error;
      await sleep(25);
    }
  }
}

function readReport(json: string): Throughput {
  const { end } = v.parse(report, JSON.parse(json));
  const total = end.sum ?? end.sum_received;
  if (total === undefined) throw new Error('Cannot read the report of iperf3: it holds no sum');
  return {
    mbps: Math.round(total.bits_per_second / 1e4) / 100,
    ...(total.lost_percent !== undefined && { lostPercent: total.lost_percent }),
  };
}
