// `clusterctl broker create` and `broker start`.

import { once } from 'node:events';
import { createBroker, startBroker } from '#broker';
import type { Address, Cidr4 } from '#lib/ip';
import { openLog } from '#lib/log';
import type { Level } from '#lib/log';
import type { Context } from './context.ts';
import type { Format } from './output-option.ts';
import { renderData } from './output.ts';

export interface CreateOptions {
  readonly data: string;
  readonly advertise: readonly string[];
  readonly listen?: Address;
  readonly port: number;
  readonly fabricV4: Cidr4;
  readonly output: Format;
}

export interface StartOptions {
  readonly data: string;
  readonly advertise?: readonly string[];
  readonly listen?: Address;
  readonly port?: number;
  readonly logLevel: Level;
}

export async function createTheBroker({ terminal }: Context, options: CreateOptions): Promise<void> {
  const { data, advertise, listen, port, fabricV4, output } = options;
  const made = await createBroker({
    dir: data,
    advertise,
    port,
    fabric4: fabricV4,
    ...(listen === undefined ? {} : { host: listen }),
  });
  if (output !== 'table') return terminal.out(renderData(output, made));
  const keep = made.storeOffline.map(({ path, what }) => `  ${path}  ${what}\n`).join('');
  terminal.out(
    `Clusterset ${made.clusterset}, broker at ${made.urls.join(', ')}\n` +
      `Take these off this host and keep them safe; nothing that runs needs them:\n${keep}` +
      `Start it: clusterctl broker start --data ${data}\n`,
  );
}

/** Runs until interrupted. Standard output carries log lines alone. */
export async function startTheBroker({ signal }: Context, options: StartOptions): Promise<void> {
  const { data, logLevel, listen, port, advertise } = options;
  const log = openLog({ component: 'broker', level: logLevel });
  await using _ = await startBroker({
    dir: data,
    log,
    ...(listen === undefined ? {} : { host: listen }),
    ...(port === undefined ? {} : { port }),
    ...(advertise === undefined ? {} : { advertise }),
  });
  if (!signal.aborted) await once(signal, 'abort');
  log.info('Stopping');
}
