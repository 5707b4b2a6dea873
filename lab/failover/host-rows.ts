// Rows of the failover table about hosts: dead, deaf, hung, or short of time.

import { starve } from '../faults/load.ts';
import { freeze, killNode } from '../faults/nodes.ts';
import { cutWorkers, dropForwarded, forwardingOff } from '../faults/gray.ts';
import { deleteDevice, killWireGuard } from '../faults/tunnels.ts';
import { busyTunnels } from './busiest.ts';
import { countEjections, countStarved } from './figures.ts';
import { always, HALF_A_SECOND, HITS, LOCAL, REMOTE, type FailoverRow } from './row.ts';

export const gatewayDead: FailoverRow = {
  id: 'gateway-dead',
  what: 'a gateway host is dead: all links down, processes frozen',
  variants: [
    ['local', LOCAL],
    ['remote', REMOTE],
  ].map(([name = '', place = '']) => ({
    id: `gateway-dead/${name}`,
    what: place,
    limits: HALF_A_SECOND,
    least: HITS,
    arm: always((lab) => killNode(lab, place)),
  })),
};

export const tunnelKilled: FailoverRow = {
  id: 'tunnel-killed',
  what: 'tunnels of a gateway are gone',
  variants: [
    {
      id: 'tunnel-killed/process',
      what: 'userspace WireGuard killed',
      limits: HALF_A_SECOND,
      least: HITS,
      arm: always((lab) => killWireGuard(lab, LOCAL)),
    },
    {
      id: 'tunnel-killed/device',
      what: 'the busiest interface deleted by hand',
      limits: HALF_A_SECOND,
      least: HITS,
      arm: async (lab) => {
        const [tunnel] = await busyTunnels(lab, 'east');
        if (tunnel === undefined) throw new Error('Cannot delete a tunnel: there is none');
        return { begin: () => deleteDevice(lab, tunnel.place, tunnel.device) };
      },
    },
  ],
};

export const gray: FailoverRow = {
  id: 'gray',
  what: 'a remote gateway answers probes and forwards nothing',
  variants: (
    [
      ['forward-drop', dropForwarded],
      ['forwarding-off', forwardingOff],
      ['worker-link', cutWorkers],
    ] as const
  ).map(([name, begin]) => ({
    id: `gray/${name}`,
    what: name,
    limits: { silenceMs: 1500, tcpSilenceMs: 3000, tcpLost: 0 },
    least: HITS,
    arm: always((lab) => begin(lab, REMOTE)),
  })),
};

export const suspended: FailoverRow = {
  id: 'suspended',
  what: 'a host is suspended for 10 s and resumed',
  variants: [
    {
      id: 'suspended/gateway',
      what: 'ways that left groups although neither end of them was suspended',
      forMs: 10_000,
      afterMs: 5000,
      limits: { ejections: 0, tcpLost: 0 },
      least: HITS,
      arm: always((lab) => freeze(lab, REMOTE)),
      observe: countEjections(REMOTE),
    },
  ],
};

export const starved: FailoverRow = {
  id: 'starved',
  what: 'all cores are busy at nice 19 for 60 s',
  variants: [
    {
      id: 'starved/cpu',
      what: 'ways that left groups',
      forMs: 60_000,
      limits: { ejections: 0, tcpLost: 0 },
      least: { busy: 90 },
      arm: always((_, forMs) => starve(forMs)),
      observe: countStarved,
    },
  ],
};

export const handmade: FailoverRow = {
  id: 'static',
  what: 'a static hand-made route over one tunnel: it never recovers, its silence is as long as the fault',
  isReference: true,
  variants: [
    {
      id: 'static/gateway-dead',
      what: LOCAL,
      bed: 'static',
      limits: HALF_A_SECOND,
      least: HITS,
      arm: always((lab) => killNode(lab, LOCAL)),
    },
  ],
};
