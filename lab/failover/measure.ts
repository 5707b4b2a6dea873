// One variant of a row, measured: a control without a fault, then the fault as often as wanted.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../lab.ts';
import { analyse, type Analysis } from '../traffic/analyse.ts';
import { now } from '../traffic/clock.ts';
import type { Trace } from '../traffic/trace.ts';
import { Traffic } from '../traffic/traffic.ts';
import type { Bed } from './bed.ts';
import { AFTER_MS, FOR_MS, type Variant } from './row.ts';
import { isWithin } from './summary.ts';
import { verdictsSince } from './verdicts.ts';

/** What one run showed; counts without what the control lost, where there was one. */
export interface Run {
  readonly silenceMs: number;
  readonly tcpSilenceMs: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly tcpLost: number;
  /** Flows that lost something or were silent for longer than the control was: a fault that hits none measures nothing. */
  readonly hit: number;
  /** The longest pause of the generator itself, and what it took of one core: neither may be what is measured. */
  readonly pauseMs: number;
  readonly cpu: number;
  /** What the row's observer saw. */
  readonly figures: Readonly<Record<string, number>>;
}

export interface Measured {
  readonly control: Omit<Run, 'figures' | 'hit'>;
  readonly runs: readonly Run[];
}

export interface MeasureOptions {
  readonly runs: number;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

const NO_CONTROL: Measured['control'] = {
  silenceMs: Infinity,
  tcpSilenceMs: Infinity,
  lost: 0,
  duplicated: 0,
  reordered: 0,
  tcpLost: 0,
  pauseMs: 0,
  cpu: 0,
};
/** Connections are open then, daemons know that traffic flows. */
const WARM_MS = 1500;

export async function measure(bed: Bed, variant: Variant, options: MeasureOptions): Promise<Measured> {
  const { runs, signal, say } = options;
  await bed.whole(signal);
  const control = await measureControl(bed.lab, variant, signal);
  say(`${variant.id}: control ${said(control)}`);
  const measured: Run[] = [];
  for (let n = 1; n <= runs; n += 1) {
    await bed.whole(signal);
    const since = new Date();
    const run = await measureFault(bed.lab, variant, { control, signal });
    say(`${variant.id} ${n}/${runs}: ${said(run)}${figuresSaid(run)}`);
    if (!isWithin(run, variant.limits))
      for (const verdict of await verdictsSince(bed.lab, since)) say(`  ${verdict}`);
    measured.push(run);
  }
  return { control, runs: measured };
}

function said(run: Measured['control']): string {
  const { silenceMs, lost, duplicated, reordered, tcpLost, tcpSilenceMs } = run;
  const counts = `lost ${lost}, duplicated ${duplicated}, reordered ${reordered}`;
  const own = `generator: pause ${run.pauseMs} ms, ${run.cpu} of a core`;
  return `silence ${silenceMs} ms, ${counts}; TCP silence ${tcpSilenceMs} ms, lost ${tcpLost}; ${own}`;
}

function figuresSaid({ hit, figures }: Run): string {
  const all = Object.entries(figures).map(([name, value]) => `, ${name} ${value}`);
  return `; ${hit} flows hit${all.join('')}`;
}

async function measureControl(lab: Lab, variant: Variant, signal: AbortSignal): Promise<Measured['control']> {
  await using traffic = await Traffic.start(lab, variant.traffic);
  await sleep(WARM_MS, undefined, { signal });
  const from = now();
  await sleep(lengthOf(variant), undefined, { signal });
  const to = now();
  const trace = await traffic.stop();
  return plain(trace, analyse(trace, { from, to }));
}

function lengthOf({ forMs = FOR_MS, afterMs = AFTER_MS }: Variant): number {
  return forMs + afterMs;
}

export interface FaultOptions {
  /** @default nothing is subtracted, and only flows that lose something count as hit */
  readonly control?: Measured['control'];
  readonly signal?: AbortSignal | undefined;
}

/** One run of a fault on a lab that is whole. */
export async function measureFault(lab: Lab, variant: Variant, options: FaultOptions = {}): Promise<Run> {
  const { control = NO_CONTROL, signal } = options;
  const { forMs = FOR_MS, afterMs = AFTER_MS } = variant;
  await using traffic = await Traffic.start(lab, variant.traffic);
  await sleep(WARM_MS, undefined, { signal });
  const begin = await variant.arm(lab, forMs);
  await using observer = await variant.observe?.(lab);
  const broken = now();
  await using fault = await begin();
  await sleep(Math.max(0, broken + forMs - now()), undefined, { signal });
  const mended = now();
  await fault.undo();
  await sleep(Math.max(0, mended + afterMs - now()), undefined, { signal });
  const moments = { broken, mended, end: now() };
  const trace = await traffic.stop();
  const analysis = analyse(trace, { from: broken, to: moments.end });
  const figures = (await observer?.figures({ moments, trace, analysis })) ?? {};
  return {
    ...lessControl(plain(trace, analysis), control),
    hit: hits(analysis, control),
    figures: rounded(figures),
  };
}

/** To a tenth of a millisecond. */
function round(value: number): number {
  return Number.isFinite(value) ? Math.round(value * 10) / 10 : value;
}

function rounded(figures: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, round(value)]));
}

function plain({ cpu }: Trace, { udp, tcp }: Analysis): Measured['control'] {
  const { lost, duplicated, reordered } = udp;
  return {
    silenceMs: round(udp.silenceMs),
    tcpSilenceMs: round(tcp.silenceMs),
    lost,
    duplicated,
    reordered,
    tcpLost: tcp.lost,
    pauseMs: round(udp.pauseMs),
    cpu: Math.round(cpu * 1000) / 1000,
  };
}

/** Silences stand as they are: only losses are subtracted. */
function lessControl(run: Measured['control'], control: Measured['control']): Measured['control'] {
  const less = (name: 'lost' | 'duplicated' | 'reordered' | 'tcpLost'): number =>
    Math.max(0, run[name] - control[name]);
  return {
    ...run,
    lost: less('lost'),
    duplicated: less('duplicated'),
    reordered: less('reordered'),
    tcpLost: less('tcpLost'),
  };
}

function hits({ flows }: Analysis, control: Measured['control']): number {
  return flows.filter(({ lost, silenceMs }) => lost > 0 || silenceMs > 2 * control.silenceMs).length;
}
