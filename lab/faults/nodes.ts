// Breaks whole machines: hung, cut off, or both.

import type { Lab } from '../lab.ts';
import { linkDown } from '../faults.ts';
import { signalProcesses } from '../processes.ts';
import { faultOf, together, type Fault } from './fault.ts';

/**
 * A suspended machine, but for its kernel: every process of the node is stopped, its userspace WireGuard too. The kernel goes on
 * forwarding; what was started meanwhile is not stopped.
 */
export async function freeze(lab: Lab, place: string): Promise<Fault> {
  const { node } = lab.node(place);
  const pids = [...(await lab.programs(node.place)).keys()];
  const processes = pids.map((pid) => ({ pid, role: 'program', place }));
  await signalProcesses(processes, 'SIGSTOP');
  return faultOf(`${place} suspended`, () => signalProcesses(processes, 'SIGCONT'));
}

/** The cable is pulled at the switch: the node loses its carrier, and keeps its addresses and routes. */
export async function unplug(lab: Lab, place: string): Promise<Fault> {
  const { node } = lab.node(place);
  const [site = ''] = place.split('/');
  const router = `${site}/router`;
  await linkDown(lab, router, node.name);
  // A port of a switch has no addresses and routes to give back.
  return faultOf(`${place} unplugged`, async () => {
    await lab.place(router).exec(['ip', 'link', 'set', node.name, 'up']);
  });
}

/** All of a machine is gone at once: its link first, so that nothing it does as it stops gets out. */
export function killNode(lab: Lab, place: string): Promise<Fault> {
  return together(
    `${place} dead`,
    () => unplug(lab, place),
    () => freeze(lab, place),
  );
}
