// `clusterctl plan`: what applying this host's plan would change, without touching anything.

import { diffState, readState } from '#lib/linux';
import { readDevices } from '#lib/wireguard';
import { plan as planOf } from '#topology';
import { changeLines } from './changes.ts';
import type { Line } from './changes.ts';
import type { Context } from './context.ts';
import { deviceLines } from './devices.ts';
import type { Format } from './output-option.ts';
import { renderData } from './output.ts';
import { hostOf, takeSnapshot } from './snapshot.ts';
import type { SnapshotOptions } from './snapshot.ts';

export interface PlanOptions extends SnapshotOptions {
  readonly output: Format;
}

const STYLES = { '+': 'good', '~': undefined, '-': 'bad' } as const;

export async function plan(context: Context, options: PlanOptions): Promise<void> {
  const { terminal, run, signal, now } = context;
  const snapshot = await takeSnapshot(context, options);
  const wanted = planOf(snapshot.fleet, await hostOf(context, snapshot));
  if (snapshot.daemon === undefined && wanted.tunnels.length > 0) {
    terminal.say('Without a daemon no tunnel counts as answering');
  }
  for (const { code, text } of wanted.conditions) terminal.say(`${code}: ${text}`);
  const [state, devices] = await Promise.all([
    readState(run, { sysctls: Object.keys(wanted.network.sysctls), signal }),
    wanted.devices.length === 0 ? [] : readDevices(run),
  ]);
  const lines = [
    ...changeLines(diffState(state, wanted.network)),
    ...deviceLines(devices, wanted.devices, now().getTime() / 1000),
  ];
  print(context, options.output, lines);
}

function print({ terminal }: Context, output: Format, lines: readonly Line[]): void {
  if (output !== 'table') return terminal.out(renderData(output, lines));
  for (const { sign, text } of lines) {
    const style = STYLES[sign];
    const line = `${sign} ${text}`;
    terminal.out(`${style === undefined ? line : terminal.paint(style, line)}\n`);
  }
  if (lines.length === 0) terminal.say('Nothing would change: this host is as planned');
}
