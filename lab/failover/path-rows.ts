// Rows of the failover table about paths: between sites, and within one.

import { flap } from '../faults/flap.ts';
import { cutWorkers } from '../faults/gray.ts';
import { blackHole, dropLarge, forbidUdp, isolate, lose, type UnderlayPath } from '../faults/paths.ts';
import type { Fault } from '../faults/fault.ts';
import type { Lab } from '../lab.ts';
import { busiestPath } from './busiest.ts';
import { countFlapping, timeLoss, timeMtu, timeReach } from './figures.ts';
import { always, HALF_A_SECOND, HITS, LOCAL, type FailoverRow, type Limits, type Variant } from './row.ts';

/** On the path that carries the most when it happens. */
function onPath(
  id: string,
  what: string,
  limits: Limits,
  broken: (lab: Lab, path: UnderlayPath, forMs: number) => Promise<Fault>,
): Variant {
  const arm: Variant['arm'] = async (lab, forMs) => {
    const path = await busiestPath(lab, 'east', 'west');
    return { path, begin: () => broken(lab, path, forMs) };
  };
  return { id, what, limits, least: HITS, arm };
}

/** Out within two seconds, and twice as long for TCP. */
const LOSSY: Limits = { lossMs: 2000, tcpSilenceMs: 4000, tcpLost: 0 };

export const pathDead: FailoverRow = {
  id: 'path-dead',
  what: 'the busiest underlay path between two gateways',
  variants: [
    onPath('path-dead/both', 'black-holed', HALF_A_SECOND, (lab, path) => blackHole(lab, path)),
    onPath('path-dead/one-way', 'black-holed in one direction', HALF_A_SECOND, (lab, path) =>
      blackHole(lab, path, { direction: 'there' }),
    ),
    {
      ...onPath('path-dead/loss', 'loses 30 % of packets', LOSSY, (lab, path) =>
        lose(lab, path, { percent: 30 }),
      ),
      observe: timeLoss,
    },
    onPath('path-dead/udp-drop', 'UDP dropped by a firewall', HALF_A_SECOND, (lab, path) =>
      forbidUdp(lab, path, { verdict: 'drop' }),
    ),
    onPath('path-dead/udp-reject', 'UDP rejected by a firewall', HALF_A_SECOND, (lab, path) =>
      forbidUdp(lab, path, { verdict: 'reject' }),
    ),
  ],
};

/** No connection hangs, and what is sent is as small as it has to be, soon. */
const FOLLOWED: Limits = { tcpSilenceMs: 3000, mtuMs: 3000, tcpLost: 0 };

export const mtu: FailoverRow = {
  id: 'mtu',
  what: 'large packets silently dropped on the busiest path; TCP with full segments',
  variants: [1296, 1368].map((above) => ({
    ...onPath(`mtu/${above}`, `above ${above} bytes`, FOLLOWED, (lab, path) =>
      dropLarge(lab, path, { above }),
    ),
    traffic: { write: 4000, writeMs: 50 },
    spoilsBed: true,
    observe: timeMtu(above),
  })),
};

export const workerLink: FailoverRow = {
  id: 'worker-link',
  what: 'the link between a worker and a gateway is dead',
  variants: (['direct', 'vxlan'] as const).map((bed) => ({
    id: `worker-link/${bed}`,
    what: bed,
    bed,
    limits: HALF_A_SECOND,
    least: HITS,
    arm: always((lab) => cutWorkers(lab, LOCAL, ['east/worker-1'])),
  })),
};

export const siteDead: FailoverRow = {
  id: 'site-dead',
  what: 'all underlay paths to a site are dead',
  variants: [
    {
      id: 'site-dead/all',
      what: 'west',
      forMs: 15_000,
      afterMs: 5000,
      limits: { unreachableMs: 1000, newMs: 1000, udpMs: 1000 },
      least: HITS,
      arm: always((lab) => isolate(lab, 'west')),
      observe: timeReach,
    },
  ],
};

export const flapping: FailoverRow = {
  id: 'flapping',
  what: 'the busiest path, at 1 Hz for 30 s',
  variants: [
    {
      ...onPath(
        'flapping/path',
        'dead for half of each second',
        { silenceMs: 500, switches: 3, restLost: 0, tcpLost: 0 },
        async (lab, path, forMs) => flap(() => blackHole(lab, path), { forMs }),
      ),
      least: { ...HITS, switches: 1 },
      forMs: 30_000,
      afterMs: 5000,
      observe: countFlapping,
    },
  ],
};
