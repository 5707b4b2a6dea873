// How many megabits a second go from one pod to another, by iperf3.

import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import type { Lab } from './lab.ts';
import { signalProcesses } from './processes.ts';

export interface ThroughputOptions {
  /** Pods: `east/pod-a` sends, `west/pod-a` receives and measures. */
  readonly from: string;
  readonly to: string;
  /** @default v4 */
  readonly family?: 'v4' | 'v6';
  /** That count. @default 2 */
  readonly seconds?: number;
  /** Before these: TCP finds its speed, buffers fill. @default 0 */
  readonly omitSeconds?: number;
  /** @default 1 */
  readonly streams?: number;
  /** Sends UDP at so many megabits a second, all streams together; absent: TCP. */
  readonly udpMbps?: number;
  /** Bytes of a UDP datagram's payload. @default iperf3's: what the path's MTU allows */
  readonly datagram?: number;
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
const report = v.object({
  end: v.object({ sum: v.optional(sum), sum_received: v.optional(sum) }),
  error: v.optional(v.string()),
});

/**
 * The receiver calls and the sender serves, because only the caller's figures are about the seconds that count: a sender's include
 * what still lies in buffers. The server is a process of its own and ends in any case; the client is bounded, because a lost greeting
 * hangs it for minutes.
 */
export async function measureThroughput(lab: Lab, options: ThroughputOptions): Promise<Throughput> {
  const port = String(options.port ?? 5201);
  const sender = lab.pod(options.from);
  const address = sender.end.addresses[options.family ?? 'v4'];
  if (address === undefined)
    throw new RangeError(`Cannot send from "${options.from}": it has no ${options.family ?? 'v4'} address`);
  const server = await sender.spawn({
    role: `iperf3-${port}`,
    argv: ['iperf3', '--server', '--one-off', '--port', port],
  });
  try {
    return readReport(await runClient(lab, options, ['--client', address, '--port', port]));
  } finally {
    await signalProcesses([server], 'SIGKILL');
  }
}

/** A report says what went wrong, which the exit status and stderr of `--json` do not: it is read whatever the status was. */
async function runClient(
  lab: Lab,
  options: ThroughputOptions,
  target: readonly string[],
): Promise<v.InferOutput<typeof report>> {
  const { seconds = 2, omitSeconds = 0 } = options;
  const argv = ['iperf3', '--json', '--reverse', '--connect-timeout', '2000', ...target, ...load(options)];
  for (let tries = 0; ; tries += 1) {
    const said = await lab
      .pod(options.to)
      .exec(['sh', '-c', '"$@" || :', 'sh', ...argv], { timeoutMs: (seconds + omitSeconds) * 1000 + 8000 });
    const result = v.parse(report, JSON.parse(said));
    if (result.error?.includes('Connection refused') !== true || tries === 40) return result;
    await sleep(25);
  }
}

function load(options: ThroughputOptions): string[] {
  const { seconds = 2, omitSeconds = 0, streams = 1, udpMbps, datagram } = options;
  const udp = udpMbps === undefined ? [] : ['--udp', '--bitrate', `${udpMbps / streams}M`];
  const size = datagram === undefined ? [] : ['--length', String(datagram)];
  return [
    '--time',
    String(seconds),
    '--omit',
    String(omitSeconds),
    '--parallel',
    String(streams),
    ...udp,
    ...size,
  ];
}

function readReport({ end, error }: v.InferOutput<typeof report>): Throughput {
  const total = end.sum_received ?? end.sum;
  if (total === undefined || error !== undefined)
    throw new Error(`Cannot measure throughput: ${error ?? 'the report of iperf3 holds no sum'}`);
  return {
    mbps: Math.round(total.bits_per_second / 1e4) / 100,
    ...(total.lost_percent !== undefined && { lostPercent: total.lost_percent }),
  };
}
