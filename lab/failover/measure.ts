// One variant of a row, measured: a control without a fault, then the fault as often as wanted.

import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '#lib/errors';
import type { Fault } from '../faults/fault.ts';
import type { Lab } from '../lab.ts';
import { analyse, type Analysis } from '../traffic/analyse.ts';
import { now } from '../traffic/clock.ts';
import type { Trace } from '../traffic/trace.ts';
import { STEADY, Traffic } from '../traffic/traffic.ts';
import type { Bed } from './bed.ts';
import type { Beds } from './beds.ts';
import { TheftWatch } from './cores.ts';
import { AFTER_MS, FOR_MS, type Moments, type Observer, type Variant } from './row.ts';
import { unsound } from './sound.ts';
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
  /** Flows that lost something, and flows and connections that were silent for twice as long as in the control: a fault that hits none measures nothing. */
  readonly hit: number;
  /** Packets that the fault's own rules took, where it is made of rules. */
  readonly dropped?: number | undefined;
  /** The longest pause of the generator itself, and what it took of one core: neither may be what is measured. */
  readonly pauseMs: number;
  readonly cpu: number;
  /** What the row's observer saw; `stolenMs`, for how long at a time the machine under this one gave one of its cores to others. */
  readonly figures: Readonly<Record<string, number>>;
  /** Figures that nobody asked for yet when this was measured. */
  readonly without?: readonly string[];
}

/** Times and counts without a fault. */
export type Control = Omit<Run, 'figures' | 'hit' | 'dropped' | 'without'>;

export interface Measured {
  /** Null where there is none, which is an error. */
  readonly control: Control | null;
  readonly runs: readonly Run[];
  /** Why there are no more runs than these. */
  readonly error?: string | undefined;
}

export interface MeasureOptions {
  readonly runs: number;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** Whoever has none counts what is no matter of a busy machine: datagrams that are lost, and more than one retransmission. */
const NO_CONTROL: Control = {
  silenceMs: Infinity,
  tcpSilenceMs: 200,
  lost: 0,
  duplicated: 0,
  reordered: 0,
  tcpLost: 0,
  pauseMs: 0,
  cpu: 0,
};
/** Connections are open then, daemons know that traffic flows. */
const WARM_MS = 1500;
/** A control that loses something makes it easy to lose nothing more: so often another one is taken. */
const CONTROLS = 3;
/** For all to be as it was before, where that is waited for, and what is seen of it then. */
const BACK_MS = 30_000;
const BACK_FOR_MS = 2000;

/** Rejects only if it is interrupted. */
export async function measure(beds: Beds, variant: Variant, options: MeasureOptions): Promise<Measured> {
  const { runs, signal, say } = options;
  let control: Control | null = null;
  const measured: Run[] = [];
  try {
    control = await measureControls(beds, variant, options);
    for (let n = 1; n <= runs; n += 1) {
      const { lab } = await wholeBed(beds, variant, signal);
      const since = new Date();
      const run = await measureFault(lab, variant, { control, signal });
      measured.push(run);
      say(`${variant.id} ${n}/${runs}: ${said(run)}${figuresSaid(run)}`);
      const verdicts = isWorthTelling(run, variant) ? await verdictsSince(lab, since) : [];
      for (const verdict of verdicts) say(`  ${verdict}`);
      await beds.used(variant);
    }
    return { control, runs: measured };
  } catch (error) {
    signal.throwIfAborted();
    return { control, runs: measured, error: messageOf(error) };
  }
}

async function wholeBed(beds: Beds, variant: Variant, signal: AbortSignal): Promise<Bed> {
  const bed = await beds.get(variant);
  await bed.whole(signal);
  return bed;
}

/** Where nothing should have happened to any way, a way that is used for other sizes is worth an explanation, too. */
function isWorthTelling(run: Run, variant: Variant): boolean {
  const { ejections, resized = 0 } = run.figures;
  return !isWithin(run, variant) || (ejections !== undefined && resized > 0);
}

/** The one that lost the least. */
async function measureControls(beds: Beds, variant: Variant, options: MeasureOptions): Promise<Control> {
  const { signal, say } = options;
  const wanted = variant.limits['lost'] === 0 ? CONTROLS : 1;
  let best: Control | undefined;
  for (let n = 1; n <= wanted; n += 1) {
    const { lab } = await wholeBed(beds, variant, signal);
    const control = await measureControl(lab, variant, signal);
    say(`${variant.id}: control ${said(control)}`);
    if (best === undefined || control.lost < best.lost) best = control;
    if (best.lost === 0) break;
  }
  return best ?? NO_CONTROL;
}

function said(run: Control): string {
  const { silenceMs, lost, duplicated, reordered, tcpLost, tcpSilenceMs } = run;
  const counts = `lost ${lost}, duplicated ${duplicated}, reordered ${reordered}`;
  const own = `generator: pause ${run.pauseMs} ms, ${run.cpu} of a core`;
  return `silence ${silenceMs} ms, ${counts}; TCP silence ${tcpSilenceMs} ms, lost ${tcpLost}; ${own}`;
}

function figuresSaid({ hit, dropped, figures }: Run): string {
  const all = Object.entries({ ...(dropped === undefined ? {} : { dropped }), ...figures });
  const more = all.map(([name, value]) => `, ${name} ${value}`);
  return `; ${hit} flows and connections hit${more.join('')}`;
}

async function measureControl(lab: Lab, variant: Variant, signal: AbortSignal): Promise<Control> {
  await using traffic = await Traffic.start(lab, variant.traffic);
  await sleep(WARM_MS, undefined, { signal });
  const from = now();
  await sleep(lengthOf(variant), undefined, { signal });
  const to = now();
  const trace = await traffic.stop();
  const analysis = analyse(trace, { from, to });
  expectSound(variant, analysis, to - from);
  return plain(trace, analysis);
}

function lengthOf({ forMs = FOR_MS, afterMs = AFTER_MS }: Variant): number {
  return forMs + afterMs;
}

/** @throws {Error} where the generator did not do what it was asked to */
function expectSound({ id, traffic }: Variant, analysis: Analysis, lastedMs: number): void {
  const why = unsound(analysis, { ...STEADY, ...traffic }, lastedMs);
  if (why !== undefined) throw new Error(`Cannot measure "${id}": ${why}`);
}

export interface FaultOptions {
  /** @default nothing is subtracted, and the generator may be as slow as its machine */
  readonly control?: Control;
  readonly signal?: AbortSignal | undefined;
}

/** One run of a fault on a lab that is whole. */
export async function measureFault(lab: Lab, variant: Variant, options: FaultOptions = {}): Promise<Run> {
  const { control = NO_CONTROL, signal } = options;
  const { forMs = FOR_MS } = variant;
  await using traffic = await Traffic.start(lab, variant.traffic);
  await sleep(WARM_MS, undefined, { signal });
  const armed = await variant.arm(lab, forMs);
  await using observer = await variant.observe?.(lab, armed);
  using theft = new TheftWatch();
  const broken = now();
  await using fault = await armed.begin();
  await sleep(Math.max(0, broken + forMs - now()), undefined, { signal });
  const dropped = await droppedBy(fault);
  observer?.mending?.();
  const mended = now();
  await fault.undo();
  const end = await aftermath(variant, { observer, mended, signal });
  const moments = { broken, mended, end };
  const { stolenMs } = theft;
  const trace = await traffic.stop();
  const analysis = analyse(trace, { from: broken, to: end });
  if (control !== NO_CONTROL) expectSound(variant, analysis, end - broken);
  const figures = (await observer?.figures({ moments, trace, analysis })) ?? {};
  return {
    ...lessControl(plain(trace, analysis), control),
    hit: hits(analysis, control),
    dropped,
    figures: rounded({ ...figures, stolenMs }),
  };
}

/** @throws {Error} where nothing met its rules: it was no fault then */
export async function droppedBy(fault: Fault): Promise<number | undefined> {
  const dropped = await fault.dropped?.();
  if (dropped === 0) throw new Error(`Cannot measure "${fault.what}": it dropped nothing`);
  return dropped;
}

interface Aftermath extends Pick<Moments, 'mended'> {
  readonly observer: Observer | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Waits for what is measured after the repair: so long, and until all is back where that can be seen. Answers when that was. */
async function aftermath(variant: Variant, { observer, mended, signal }: Aftermath): Promise<number> {
  const { afterMs = AFTER_MS } = variant;
  await sleep(Math.max(0, mended + afterMs - now()), undefined, { signal });
  if (observer?.isBack === undefined) return now();
  while (!observer.isBack() && now() < mended + BACK_MS) await sleep(100, undefined, { signal });
  await sleep(BACK_FOR_MS, undefined, { signal });
  return now();
}

/** To a tenth of a millisecond. */
function round(value: number): number {
  return Number.isFinite(value) ? Math.round(value * 10) / 10 : value;
}

function rounded(figures: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, round(value)]));
}

function plain({ cpu }: Trace, { udp, tcp }: Analysis): Control {
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
function lessControl(run: Control, control: Control): Control {
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

function hits({ flows, connections }: Analysis, control: Control): number {
  const isHit = flows.filter(({ lost, silenceMs }) => lost > 0 || silenceMs > 2 * control.silenceMs);
  const isSlow = connections.filter(({ silenceMs }) => silenceMs > 2 * control.tcpSilenceMs);
  return isHit.length + isSlow.length;
}
