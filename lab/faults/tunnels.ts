// Breaks tunnels on a node: by their process, or by their device.

import { DEVICE_PREFIX } from '#lib/constants';
import type { Lab } from '../lab.ts';
import { signalProcesses } from '../processes.ts';
import { faultOf, type Fault } from './fault.ts';

/** A tunnel's device, not that of a link: `ist` and two digits. */
const TUNNEL = new RegExp(`^${DEVICE_PREFIX}\\d\\d$`);

/** Devices of the tunnels of a gateway. */
export async function tunnelDevices(lab: Lab, place: string): Promise<string[]> {
  const said = await lab.place(place).exec(['wg', 'show', 'interfaces']);
  return said.split(/\s+/).filter((name) => TUNNEL.test(name));
}

/**
 * The userspace WireGuard of a node dies, of all its tunnels. Whoever made them has to make them again: there is nothing to undo.
 * @throws {Error} where the kernel makes the tunnels
 */
export async function killWireGuard(lab: Lab, place: string): Promise<Fault> {
  const programs = [...(await lab.programs(place))].filter(([, name]) => name === 'wireguard-go');
  if (programs.length === 0)
    throw new Error(`Cannot kill the WireGuard of "${place}": no userspace WireGuard runs there`);
  const processes = programs.map(([pid]) => ({ pid, role: 'wireguard-go', place }));
  await signalProcesses(processes, 'SIGKILL');
  return faultOf(`${place}: ${processes.length} wireguard-go killed`);
}

/** Somebody deletes a device by hand. Whoever made it has to make it again: there is nothing to undo. */
export async function deleteDevice(lab: Lab, place: string, device: string): Promise<Fault> {
  await lab.place(place).exec(['ip', 'link', 'delete', device]);
  return faultOf(`${place}: ${device} deleted`);
}
