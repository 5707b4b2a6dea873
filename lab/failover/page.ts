// The page that the figures of `npm run bench -- failover --json` make.
// This module is pure.

import type { Pool } from './pool.ts';
import { figuresText, spreadText, targetText, verdictText, type VariantSummary } from './summary.ts';

/** Submariner, one gateway host of two dead, five runs on a bed like this one: seconds. */
const SUBMARINER_S = [17, 19.8] as const;

/** @param last what stands in the last column in place of the verdict */
function line(fault: string, variant: VariantSummary, last?: string): string {
  const { id, runs, silenceMs, tcpSilenceMs } = variant;
  const end = [targetText(variant), last ?? verdictText(variant).replaceAll('|', '/')];
  const nothing = ['–', '–', '–', '–', '–'];
  const measured = [
    spreadText(silenceMs),
    spreadText(tcpSilenceMs),
    lossText(variant),
    variant.tcpLost,
    figuresText(variant),
  ];
  const cells = [
    `\`${id}\``,
    `${fault}: ${variant.what}`,
    runs,
    ...(runs === 0 ? nothing : measured),
    ...end,
  ];
  return `| ${cells.join(' | ')} |`;
}

/** What is taken off for what the network loses by itself has to be known. */
function lossText({ lost, duplicated, reordered, control }: VariantSummary): string {
  const counts = `${lost} / ${duplicated} / ${reordered}`;
  const own = control === null ? [] : [control.lost, control.duplicated, control.reordered];
  return own.some((count) => count > 0) ? `${counts} (control ${own.join(' / ')})` : counts;
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
retransmission included. *TCP lost* are connections that ended although nobody ended them, or that had not given back everything 25 s after the last write. Times are median / p95 / worst of
all runs in milliseconds; losses are those of the worst run, less those of a run without a fault (the control, named where it lost anything).

*Also*: \`lossMs\`, until the last datagram is lost; \`mtuMs\`, until neither gateway sends packets over the path any more that are too large for it; \`unreachableMs\`, until
no worker of either site has a way to the other, \`refusedMs\` and \`refused6Ms\`, until new connections of IPv4 and of IPv6 hear of it (the kernel's answer may come while the call that sends the first packet still holds
the socket, and is put off until the second packet, a second later: over IPv6 always), and \`newMs\` and \`udpMs\`, after the repair, until new connections and datagrams arrive again;
\`switches\`, how often the path left or joined a group; \`restLost\`, what was lost by flows that did not take the path when it first broke; \`ejections\`, paths that were left
although nothing was wrong with them; \`resized\`, paths that were kept, for packets of another size; \`left\` and \`missing\`, paths that left a group, and that were not back at the end, and \`backMs\`, when
the last one was; \`busy\`, per cent of all cores' time that was used; \`stolenMs\`, for how long at a time the machine
under the bed gave one of its cores to others: paths that go by that core are silent for as long. *Target*: \`hit\`, flows and connections that noticed; a fault that nothing met measures nothing. \`suspended\` has no target for silence:
a gateway that hangs while its kernel answers is left by its own workers after some 5 s. \`(mtuMs: of 3 runs)\`: the others are older than that figure, and are judged by the rest.

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
