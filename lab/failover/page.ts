// The page that the figures of `npm run bench -- failover --json` make.
// This module is pure.

import type { Pool } from './pool.ts';
import { figuresText, spreadText, targetText, type VariantSummary } from './summary.ts';

/** Submariner, one gateway host of two dead, five runs on a bed like this one: seconds. */
const SUBMARINER_S = [17, 19.8] as const;

/** @param last what stands in the last column in place of the verdict */
function line(fault: string, variant: VariantSummary, last?: string): string {
  const { id, runs, lost, duplicated, reordered, tcpLost } = variant;
  const what = `${fault}: ${variant.what}`;
  if (variant.error !== undefined)
    return `| \`${id}\` | ${what} | 0 | – | – | – | – | – | ${targetText(variant)} | not measured |`;
  const cells = [
    `\`${id}\``,
    what,
    runs,
    spreadText(variant.silenceMs),
    spreadText(variant.tcpSilenceMs),
    `${lost} / ${duplicated} / ${reordered}`,
    tcpLost,
    figuresText(variant),
    targetText(variant),
    last ?? (variant.met ? 'met' : 'missed'),
  ];
  return `| ${cells.join(' | ')} |`;
}

function ratios({ rows, references }: Pool): string {
  const dead = rows.find(({ id }) => id === 'gateway-dead')?.variants ?? [];
  const still = references.flatMap(({ variants }) => variants)[0]?.silenceMs?.median;
  const lines = dead.flatMap(({ id, silenceMs }) => {
    const ours = silenceMs?.median;
    if (ours === undefined) return [];
    const [least, most] = SUBMARINER_S.map((seconds) => ((seconds * 1000) / ours).toFixed(0));
    const never = still === undefined ? '–' : `more than ${(still / ours).toFixed(0)}: it never recovers`;
    return [`| \`${id}\` | ${ours.toFixed(0)} | ${never} | ${least} to ${most} |`];
  });
  return lines.join('\n');
}

/** `docs/reference/failover.md`. */
export function failoverPage(pool: Pool): string {
  const { machine, rows, references } = pool;
  // Of the kernel what decides: its makers' suffix and the processor's name say where, not how.
  const kernel = machine.kernel.split('.', 2).join('.');
  const lines = [
    ...rows.flatMap(({ what, variants }) => variants.map((variant) => line(what, variant))),
    ...references.flatMap(({ what, variants }) => variants.map((each) => line(what, each, 'to compare'))),
  ];
  return `# Failover

What a fault costs. This page is made from the figures of \`npm run bench -- failover --json\`, taken on ${machine.cpus} cores, Linux ${kernel}.

Between two sites with two gateways and two lanes each flow 1000 UDP datagrams a second in either direction, in eight flows of 125 a second (four of IPv4, four of IPv6),
and 20 TCP connections, half of them opened by either side, write each 40 ms and get back what they wrote. Then one thing breaks. *Silence* is the longest time in which no datagram
of some flow arrived that had not arrived before, of all 16 flows the longest; nothing is taken off, not the 8 ms between two datagrams either. TCP's silence is there and back, its
retransmission included. Times are median / p95 / worst of all runs in milliseconds; losses are those of the worst run, less those of a run without a fault.

*Also*: \`lossMs\`, until the last datagram is lost; \`unreachableMs\`, until new connections fail at once; \`newMs\` and \`udpMs\`, after the repair, until new connections and datagrams arrive again;
\`switches\`, how often the path left or joined a group; \`restLost\`, what was lost by flows that did not take the path when it first broke; \`ejections\`, paths that were left although nothing was wrong with them.

| fault | what | runs | UDP silence | TCP silence | lost / duplicated / reordered | TCP lost | also | target | |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
${lines.join('\n')}

## Beside others

How many times longer others are silent when a gateway host dies: a static hand-made route over one tunnel, measured by the same means, and Submariner, measured once on a bed like this one
(${SUBMARINER_S[0].toFixed(1)} to ${SUBMARINER_S[1].toFixed(1)} s, five runs).

| fault | ours, ms | static route | Submariner |
| --- | --- | --- | --- |
${ratios(pool)}
`;
}
