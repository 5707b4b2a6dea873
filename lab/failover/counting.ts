// What a fault costs in counts: how long it takes is for `npm run bench -- failover` to say.

import type { Lab } from '../lab.ts';
import { analyse } from '../traffic/analyse.ts';
import { measureFault, type Run } from './measure.ts';
import { AFTER_MS, FOR_MS, type Observer, type Variant } from './row.ts';

/** The end of a fault, when all traffic has found another way. */
const SETTLED_MS = 1500;

export interface Counted {
  readonly run: Run;
  /** `stillLost: 3`: what is more than it may be, or less than it has to be. */
  readonly found: readonly string[];
}

export interface CountOptions {
  /** A fault lasts no longer, and no more is seen of what comes after: what flaps, starves or sleeps for longer in the benchmark does so here for less. */
  readonly mostMs: number;
}

/** One run of a fault on a lab that is whole. */
export async function countFault(lab: Lab, variant: Variant, { mostMs }: CountOptions): Promise<Counted> {
  const run = await measureFault(lab, {
    ...variant,
    forMs: Math.min(variant.forMs ?? FOR_MS, mostMs),
    afterMs: Math.min(variant.afterMs ?? AFTER_MS, mostMs),
    observe: counting(variant),
  });
  return { run, found: exceeded(variant, run) };
}

/**
 * What the row counts besides; `stillLost`: datagrams that were sent at the end of the fault and did not arrive; `hung`: whether a
 * connection gave nothing back by then.
 */
function counting(variant: Variant): NonNullable<Variant['observe']> {
  return async (lab, armed): Promise<Observer> => {
    const inner = await variant.observe?.(lab, armed);
    return {
      ...inner,
      figures: async (run) => {
        const { mended } = run.moments;
        const { udp, tcp } = analyse(run.trace, { from: mended - SETTLED_MS, to: mended });
        const hung = Number(tcp.silenceMs >= SETTLED_MS);
        return { ...(await inner?.figures(run)), stillLost: udp.lost, hung };
      },
      [Symbol.asyncDispose]: async () => inner?.[Symbol.asyncDispose](),
    };
  };
}

/** Limits in time say here that there is an end to it: of what is found while it is broken, before it is mended. */
const ENDS_WHILE_BROKEN = ['silenceMs', 'tcpSilenceMs', 'lossMs'];

function countsOf({ limits }: Variant): [name: string, most: number][] {
  const timed = Object.keys(limits).filter((name) => name.endsWith('Ms'));
  const ended = timed.some((name) => ENDS_WHILE_BROKEN.includes(name)) ? ['stillLost', 'hung'] : [];
  return [
    ...Object.entries(limits).filter(([name]) => !timed.includes(name)),
    ...timed.map((name): [string, number] => [name, Number.MAX_VALUE]),
    ...[...ended, 'duplicated'].map((name): [string, number] => [name, 0]),
  ];
}

function exceeded(variant: Variant, { figures, ...run }: Omit<Run, 'without'>): string[] {
  const all: Readonly<Record<string, number | undefined>> = { ...run, ...figures };
  const least = Object.entries(variant.least ?? {});
  return [
    ...countsOf(variant).map(([name, most]) => [name, (all[name] ?? Infinity) <= most] as const),
    ...least.map(([name, few]) => [name, (all[name] ?? -Infinity) >= few] as const),
  ].flatMap(([name, isKept]) => (isKept ? [] : [`${name}: ${all[name]}`]));
}
