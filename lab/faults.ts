// Breaks the lab's network, and mends it.

import type { Lab } from './lab.ts';
import { placeText } from './place-text.ts';

/**
 * Sets a device down, as `ip link set down` does: its routes and IPv6 addresses go with it.
 * A cut cable is the far end's device, for example `gw-0` of `east/router`: the near end loses its carrier and keeps its routes.
 */
export async function linkDown(lab: Lab, place: string, device = 'eth0'): Promise<void> {
  await lab.place(place).exec(['ip', 'link', 'set', device, 'down']);
}

/** Sets it up again, and gives it back the addresses and routes that the place began with. */
export async function linkUp(lab: Lab, place: string, device = 'eth0'): Promise<void> {
  const found = lab.layout.places.find((each) => each.name === place);
  if (found === undefined) throw new RangeError(`Cannot find "${place}" in lab "${lab.name}"`);
  const lines = placeText(lab.layout, found).ip.filter((line) => /^(addr|route) add/.test(line));
  const script = ['ip link set "$0" up', "ip -force -batch - 2>/dev/null <<'END' || :", ...lines, 'END', ''];
  await lab.place(place).exec(['sh', '-c', script.join('\n'), device]);
}

/** Bytes; on both ends, because a wire has one MTU. */
export async function setMtu(lab: Lab, place: string, device: string, mtu: number): Promise<void> {
  const wire = lab.layout.wires.find(({ ends }) =>
    ends.some((end) => end.place === place && end.device === device),
  );
  if (wire === undefined) throw new RangeError(`Cannot find a wire at "${place}" called "${device}"`);
  for (const end of wire.ends)
    await lab.place(end.place).exec(['ip', 'link', 'set', end.device, 'mtu', String(mtu)]);
}
