// Which tunnel carries the most, so that what is broken is missed.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../lab.ts';
import type { UnderlayPath } from '../faults/paths.ts';
import { tunnelDevices } from '../faults/tunnels.ts';

export interface BusyTunnel {
  readonly place: string;
  readonly device: string;
  /** Of the other site. */
  readonly ordinal: number;
  readonly bytes: number;
}

const LOOK_MS = 500;

/** Tunnels of a site's gateways by what they carried just now, both ways, the busiest first. */
export async function busyTunnels(lab: Lab, site: string): Promise<BusyTunnel[]> {
  const before = await carried(lab, site);
  await sleep(LOOK_MS);
  const after = await carried(lab, site);
  return after
    .map((tunnel, at) => ({ ...tunnel, bytes: tunnel.bytes - (before[at]?.bytes ?? 0) }))
    .toSorted((a, b) => b.bytes - a.bytes);
}

async function carried(lab: Lab, site: string): Promise<BusyTunnel[]> {
  const gateways = lab.site(site).nodes.filter(({ role }) => role === 'gateway');
  const all = gateways.map(async ({ place }) => {
    const devices = await tunnelDevices(lab, place);
    const said = await lab.place(place).exec(['wg', 'show', 'all', 'transfer']);
    const lines = said.split('\n').map((line) => line.split('\t'));
    return devices.toSorted().map((device) => {
      const own = lines.filter(([name]) => name === device);
      const bytes = own.reduce((sum, [, , received, sent]) => sum + Number(received) + Number(sent), 0);
      return { place, device, ordinal: Number(device.at(-2)), bytes };
    });
  });
  return (await Promise.all(all)).flat();
}

/** The pair of gateways between which the most flows, all lanes together. */
export async function busiestPath(lab: Lab, site: string, far: string): Promise<UnderlayPath> {
  const pairs = Map.groupBy(await busyTunnels(lab, site), ({ place, ordinal }) => `${place} ${ordinal}`);
  const sums = [...pairs.values()].map((lanes) => ({
    path: [lanes[0]?.place ?? '', `${far}/gw-${lanes[0]?.ordinal}`] as const,
    bytes: lanes.reduce((sum, { bytes }) => sum + bytes, 0),
  }));
  const [busiest] = sums.toSorted((a, b) => b.bytes - a.bytes);
  if (busiest === undefined) throw new Error(`Cannot break a path of "${site}": it has no tunnel`);
  return busiest.path;
}
