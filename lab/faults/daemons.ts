// Ends and starts the programs of the product while packets flow.

import { bundle } from '#setup';
import type { Lab } from '../lab.ts';
import { startBroker, startDaemon, stopBroker } from '../product.ts';
import { faultOf, type Fault } from './fault.ts';

const ROLES = ['gateway', 'route-agent'] as const;

/** kill -9 of a node's daemon; undone, it is started again. */
export async function killDaemon(lab: Lab, place: string): Promise<Fault> {
  await end(lab, place, 'SIGKILL');
  return faultOf(`${place}: daemon killed`, () => startDaemon(lab, place));
}

/** As a service manager does. Undone as soon as done. */
export async function restartDaemon(lab: Lab, place: string): Promise<Fault> {
  await end(lab, place, 'SIGTERM');
  await startDaemon(lab, place);
  return faultOf(`${place}: daemon restarted`);
}

/** The program is made anew first, from whatever its source is now; then as a restart. */
export async function upgradeDaemon(lab: Lab, place: string): Promise<Fault> {
  await bundle(lab.node(place).node.role === 'gateway' ? 'isthmus-gateway' : 'isthmus-route-agent');
  await restartDaemon(lab, place);
  return faultOf(`${place}: daemon upgraded`);
}

async function end(lab: Lab, place: string, signal: NodeJS.Signals): Promise<void> {
  const ended = await Promise.all(ROLES.map((role) => lab.kill({ place, role }, signal)));
  if (ended.flat().length === 0) throw new Error(`Cannot end the daemon of "${place}": none runs there`);
}

/** The broker is gone, its nats-server too. */
export async function withoutBroker(lab: Lab): Promise<Fault> {
  await stopBroker(lab);
  return faultOf('broker gone', () => startBroker(lab));
}
