// Breaks what no tunnel shows: gateways that answer and do not forward, and the links behind them.

import type { Lab } from '../lab.ts';
import { faultOf, type Fault } from './fault.ts';
import { forwardTable, switchTable } from './rules.ts';
import { tableFault } from './table.ts';

/** A firewall of somebody else's on the node: it forwards nothing. */
export function dropForwarded(lab: Lab, place: string): Promise<Fault> {
  const what = `${place} drops what it should forward`;
  return tableFault(lab, { what, place, family: 'inet', rules: forwardTable });
}

/** Somebody turns forwarding off. Undone, it is as it was, unless whoever needs it has already put it back. */
export async function forwardingOff(lab: Lab, place: string): Promise<Fault> {
  const set = (value: 0 | 1) => async (): Promise<void> => {
    const settings = [`net.ipv4.ip_forward=${value}`, `net.ipv6.conf.all.forwarding=${value}`];
    await lab.place(place).exec(['sysctl', '-qw', ...settings]);
  };
  await set(0)();
  return faultOf(`${place}: forwarding off`, set(1));
}

/** The site's switch forwards nothing between a gateway and the workers: its way to the internet and to its siblings is whole. */
export function cutWorkers(lab: Lab, gateway: string, workers = workersBeside(lab, gateway)): Promise<Fault> {
  const [site = ''] = gateway.split('/');
  const port = (place: string): string => lab.node(place).node.name;
  return tableFault(lab, {
    what: `${gateway} ⇄ ${workers.join(', ')} dead`,
    place: `${site}/router`,
    family: 'bridge',
    rules: (name) => switchTable(name, [port(gateway)], workers.map(port)),
  });
}

function workersBeside(lab: Lab, gateway: string): string[] {
  const [site = ''] = gateway.split('/');
  return lab.site(site).nodes.flatMap(({ role, place }) => (role === 'worker' ? [place] : []));
}
