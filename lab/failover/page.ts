// The page that the figures of `npm run bench -- failover --json` make.
// This module is pure.

import * as v from 'valibot';

/** JSON has no infinity: what never happened is null there. */
const Time = v.nullable(v.number());
const Spread = v.object({ median: Time, p95: Time, worst: Time });
const Variant = v.object({
  id: v.string(),
  what: v.string(),
  runs: v.number(),
  silenceMs: v.nullable(Spread),
  tcpSilenceMs: v.nullable(Spread),
  lost: v.number(),
  duplicated: v.number(),
  reordered: v.number(),
  tcpLost: v.number(),
  met: v.boolean(),
  limits: v.record(v.string(), v.number()),
  figures: v.record(v.string(), Spread),
  error: v.optional(v.string()),
});
type Variant = v.InferOutput<typeof Variant>;
const Row = v.object({ id: v.string(), what: v.string(), variants: v.array(Variant) });
const Document = v.object({
  machine: v.object({ cpus: v.number(), cpu: v.string(), kernel: v.string(), node: v.string() }),
  rows: v.array(Row),
  references: v.array(Row),
});
type Document = v.InferOutput<typeof Document>;

/** Submariner, one gateway host of two dead, five runs on a bed like this one: seconds. */
const SUBMARINER_S = [17, 19.8] as const;

/** Microseconds are noise. */
function times(spread: v.InferOutput<typeof Spread> | null): string {
  if (spread === null) return '–';
  const text = (value: number | null): string => (value === null ? 'never' : value.toFixed(0));
  return [spread.median, spread.p95, spread.worst].map(text).join(' / ');
}

function targetOf({ limits }: Variant): string {
  return Object.entries(limits)
    .map(([name, most]) => `${name} ≤ ${most}`)
    .join(', ');
}

function figuresOf({ figures }: Variant): string {
  const all = Object.entries(figures).map(([name, spread]) => `${name} ${times(spread)}`);
  return all.join(', ') || '–';
}

function line(variant: Variant): string {
  const { id, what, runs, lost, duplicated, reordered, tcpLost } = variant;
  if (variant.error !== undefined)
    return `| \`${id}\` | ${what} | 0 | – | – | – | – | – | ${targetOf(variant)} | not measured |`;
  const cells = [
    `\`${id}\``,
    what,
    runs,
    times(variant.silenceMs),
    times(variant.tcpSilenceMs),
    `${lost} / ${duplicated} / ${reordered}`,
    tcpLost,
    figuresOf(variant),
    targetOf(variant),
    variant.met ? 'met' : 'missed',
  ];
  return `| ${cells.join(' | ')} |`;
}

function ratios({ rows, references }: Document): string {
  const dead = rows.find(({ id }) => id === 'gateway-dead')?.variants ?? [];
  const still = references.flatMap(({ variants }) => variants)[0]?.silenceMs?.median;
  const lines = dead.flatMap(({ id, silenceMs }) => {
    const ours = silenceMs?.median;
    if (ours === undefined || ours === null) return [];
    const [least, most] = SUBMARINER_S.map((seconds) => ((seconds * 1000) / ours).toFixed(0));
    const never =
      still === undefined || still === null
        ? '–'
        : `more than ${(still / ours).toFixed(0)}: it never recovers`;
    return [`| \`${id}\` | ${ours.toFixed(0)} | ${never} | ${least} to ${most} |`];
  });
  return lines.join('\n');
}

/**
 * `docs/reference/failover.md`.
 * @throws {ValiError} on anything but that document
 */
export function failoverPage(json: string): string {
  const document = v.parse(Document, JSON.parse(json));
  const { machine, rows, references } = document;
  return `# Failover

What a fault costs. This page is made from the figures of \`npm run bench -- failover --json\`, taken on ${machine.cpus} cores (${machine.cpu}), Linux ${machine.kernel}.

Between two sites with two gateways and two lanes each flow 1000 UDP datagrams a second in either direction, in eight flows of 125 a second (four of IPv4, four of IPv6),
and 20 TCP connections, half of them opened by either side, write each 40 ms and get back what they wrote. Then one thing breaks. *Silence* is the longest time in which no datagram
of some flow arrived that had not arrived before, of all 16 flows the longest; nothing is taken off, not the 8 ms between two datagrams either. TCP's silence is there and back, its
retransmission included. Times are median / p95 / worst of all runs in milliseconds; losses are those of the worst run, less those of a run without a fault.

| fault | what | runs | UDP silence | TCP silence | lost / duplicated / reordered | TCP lost | also | target | |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
${[...rows, ...references].flatMap(({ variants }) => variants.map(line)).join('\n')}

## Beside others

How many times longer others are silent when a gateway host dies: a static hand-made route over one tunnel, measured in the same run, and Submariner, measured once on a bed like this one
(${SUBMARINER_S[0].toFixed(1)} to ${SUBMARINER_S[1].toFixed(1)} s, five runs).

| fault | ours, ms | static route | Submariner |
| --- | --- | --- | --- |
${ratios(document)}
`;
}
