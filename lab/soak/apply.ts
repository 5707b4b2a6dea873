// Puts a fault of the script in force in a lab.

import { setTimeout as sleep } from 'node:timers/promises';
import { changeLanes, drainGateway, removeGateway, rotateKeys } from '../failover/planned.ts';
import { killDaemon, restartDaemon, upgradeDaemon, withoutBroker } from '../faults/daemons.ts';
import type { Fault } from '../faults/fault.ts';
import { flap } from '../faults/flap.ts';
import { cutWorkers, dropForwarded, forwardingOff } from '../faults/gray.ts';
import { starve } from '../faults/load.ts';
import { freeze, killNode } from '../faults/nodes.ts';
import { blackHole, dropLarge, forbidUdp, isolate, lose } from '../faults/paths.ts';
import { deleteDevice, killWireGuard, tunnelDevices } from '../faults/tunnels.ts';
import type { Lab } from '../lab.ts';
import type { DaemonKind, GatewayKind, PathKind, SiteKind, SoakFault, WideKind } from './faults.ts';
import type { GatewayPair } from './topology.ts';

/** How long what ends by itself goes on at most; it is undone before. */
const MOST_MS = 120_000;
/** A path that has failed again and again proves itself for a minute, and counts as no other way until then. */
const PATIENCE_MS = 90_000;
const LOOK_MS = 500;

type Begin<Where> = (lab: Lab, where: Where) => Promise<Fault>;

const AT_NODE: Readonly<Record<GatewayKind | DaemonKind, Begin<string>>> = {
  'gateway-dead': killNode,
  suspended: freeze,
  'wireguard-killed': killWireGuard,
  'forward-drop': dropForwarded,
  'forwarding-off': forwardingOff,
  'workers-cut': (lab, place) => cutWorkers(lab, place),
  drained: drainGateway,
  removed: removeGateway,
  'keys-rotated': rotateKeys,
  'daemon-killed': killDaemon,
  'daemon-restarted': restartDaemon,
  'daemon-upgraded': upgradeDaemon,
};

const ON_PATH: Readonly<Record<PathKind, Begin<GatewayPair>>> = {
  'black-holed': (lab, path) => blackHole(lab, path),
  'one-way': (lab, path) => blackHole(lab, path, { direction: 'there' }),
  lossy: (lab, path) => lose(lab, path, { percent: 30 }),
  'udp-dropped': (lab, path) => forbidUdp(lab, path, { verdict: 'drop' }),
  'udp-rejected': (lab, path) => forbidUdp(lab, path, { verdict: 'reject' }),
  'narrow-1296': (lab, path) => dropLarge(lab, path, { above: 1296 }),
  'narrow-1368': (lab, path) => dropLarge(lab, path, { above: 1368 }),
  flapping: async (lab, path) => flap(() => blackHole(lab, path), { forMs: MOST_MS }),
};

const AT_SITE: Readonly<Record<SiteKind, Begin<string>>> = {
  isolated: isolate,
  'one-lane': (lab, site) => changeLanes(lab, site, 1),
};

const ANYWHERE: Readonly<Record<WideKind, (lab: Lab) => Promise<Fault>>> = {
  'broker-gone': withoutBroker,
  starved: () => starve(MOST_MS),
};

/** What makes a command refuse for a while: what was broken before is not yet used again, or not yet heard of. */
const NOT_YET = /no other|does not reach the broker|no gateway daemon answers/;

/** Waits, within bounds, for what has to be there to be broken. */
export async function applyFault(lab: Lab, fault: SoakFault, signal: AbortSignal): Promise<Fault> {
  for (const until = Date.now() + PATIENCE_MS; ; await sleep(LOOK_MS, undefined, { signal })) {
    if (!(await isThere(lab, fault)) && Date.now() < until) continue;
    try {
      return await begin(lab, fault);
    } catch (error) {
      const isEarly = error instanceof Error && NOT_YET.test(error.message);
      if (!isEarly || Date.now() > until) throw error;
    }
  }
}

/** What was broken lately may still be about to come back. */
async function isThere(lab: Lab, fault: SoakFault): Promise<boolean> {
  if (fault.kind === 'device-deleted') return (await tunnelDevices(lab, fault.place)).includes(fault.device);
  if (fault.kind !== 'wireguard-killed') return true;
  return (await tunnelDevices(lab, fault.place)).length > 0;
}

function begin(lab: Lab, fault: SoakFault): Promise<Fault> {
  if ('path' in fault) return ON_PATH[fault.kind](lab, fault.path);
  if ('site' in fault) return AT_SITE[fault.kind](lab, fault.site);
  if ('device' in fault) return deleteDevice(lab, fault.place, fault.device);
  if ('worker' in fault) return cutWorkers(lab, fault.place, [fault.worker]);
  return 'place' in fault ? AT_NODE[fault.kind](lab, fault.place) : ANYWHERE[fault.kind](lab);
}
