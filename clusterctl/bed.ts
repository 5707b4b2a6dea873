// What tests of commands share.

import { FABRIC4_DEFAULT, WIREGUARD_BASE_PORT } from '#lib/constants';
import { openMetrics, serveStatus } from '#lib/metrics';
import type { Context } from './context.ts';

/** A terminal that remembers. */
export interface Heard {
  readonly context: Context;
  readonly out: readonly string[];
  /** Lines beside the output. */
  readonly said: readonly string[];
}

/** Without `run`, no program may be run. */
export function hear({ run = noProgram, signal }: Partial<Pick<Context, 'run' | 'signal'>> = {}): Heard {
  const [out, said]: [string[], string[]] = [[], []];
  const context: Context = {
    terminal: {
      out: (text) => void out.push(text),
      clear: () => {},
      say: (line) => void said.push(line),
      paint: (_style, text) => text,
      isInteractive: false,
    },
    run,
    signal: signal ?? new AbortController().signal,
    now: () => new Date(),
  };
  return { context, out, said };
}

const noProgram: Context['run'] = () => Promise.reject(new Error('a program was run'));

/** A daemon that says this, on a port of its own. */
export async function serveState(state: () => object): Promise<AsyncDisposable & { readonly port: number }> {
  const registry = openMetrics({ component: 'test', version: '1' });
  return await serveStatus({ port: 0, registry, ready: () => undefined, state });
}

/** What the gateway daemon of gw-0, beside gw-1, says; it reaches west. */
export function gatewayState(more: object, host: object = {}): object {
  const base = { podCidrs: ['10.1.0.0/16'], serviceCidrs: [] };
  const nodes = ['gw-0', 'gw-1'].map((name, ordinal) => ({
    name,
    role: 'gateway',
    ordinal,
    addresses: [`192.0.2.1${ordinal}`],
    podCidrs: [],
  }));
  const gateways = [
    {
      ordinal: 0,
      keys: [Buffer.alloc(32, 7).toString('base64')],
      endpoint: { addresses: ['203.0.113.20'], port: WIREGUARD_BASE_PORT },
    },
  ];
  return {
    component: 'gateway',
    node: 'gw-0',
    fleet: {
      fabric: { v4: FABRIC4_DEFAULT, v6: 'fd12:3456:789a::/48' },
      own: { id: 'east', index: 1, ...base, lanes: 1, listenPort: WIREGUARD_BASE_PORT, link: 'vxlan', nodes },
      remotes: [{ id: 'west', index: 2, podCidrs: ['10.2.0.0/16'], serviceCidrs: [], gateways }],
    },
    host: {
      node: 'gw-0',
      uplink: { device: 'eth0', mtu: 1500 },
      resilient: true,
      healthy: ['west/0#0'],
      addresses: [],
      ...host,
    },
    broker: { connected: true },
    ...more,
  };
}
