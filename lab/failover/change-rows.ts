// Rows of the failover table about what operators do, and about daemons and the broker: no packet may be lost for these.

import { killDaemon, restartDaemon, upgradeDaemon, withoutBroker } from '../faults/daemons.ts';
import { together } from '../faults/fault.ts';
import type { Lab } from '../lab.ts';
import { countReturn } from './figures.ts';
import { changeLanes, drainGateway, removeGateway, rotateKeys } from './planned.ts';
import { always, LOCAL, type FailoverRow, type Limits } from './row.ts';

const NOTHING_LOST: Limits = { lost: 0, tcpLost: 0 };
const GATEWAY_AND_AGENT = [LOCAL, 'west/worker-1'] as const;

export const daemonKilled: FailoverRow = {
  id: 'daemon-killed',
  what: 'a gateway daemon and a route agent',
  variants: (
    [
      ['kill', 'kill -9, started again after 8 s', killDaemon],
      ['restart', 'restart', restartDaemon],
      ['upgrade', 'restart by a program of another version', upgradeDaemon],
    ] as const
  ).map(([name, what, work]) => ({
    id: `daemon-killed/${name}`,
    what,
    afterMs: 4000,
    limits: NOTHING_LOST,
    arm: always((lab) => together(name, ...GATEWAY_AND_AGENT.map((place) => () => work(lab, place)))),
  })),
};

export const brokerGone: FailoverRow = {
  id: 'broker-gone',
  what: 'the broker is dead for the whole run, with daemons restarted in it',
  variants: [
    {
      id: 'broker-gone/all',
      what: 'both daemons of each kind restarted',
      limits: NOTHING_LOST,
      arm: always((lab) =>
        together(
          'broker gone',
          () => withoutBroker(lab),
          ...GATEWAY_AND_AGENT.map((place) => () => restartDaemon(lab, place)),
        ),
      ),
    },
  ],
};

export const planned: FailoverRow = {
  id: 'planned',
  what: 'planned changes, and back',
  variants: [
    ['drain', 'drain and undrain a gateway', (lab: Lab) => drainGateway(lab, LOCAL)] as const,
    ['gateway', 'remove and add a gateway', (lab: Lab) => removeGateway(lab, LOCAL)] as const,
    ['lane', 'remove and add a lane', (lab: Lab) => changeLanes(lab, 'east', 1)] as const,
    ['keys', 'rotate the keys of a gateway', (lab: Lab) => rotateKeys(lab, LOCAL)] as const,
  ].map(([name, what, begin]) => ({
    id: `planned/${name}`,
    what,
    forMs: 10_000,
    afterMs: 10_000,
    limits: { ...NOTHING_LOST, missing: 0 },
    least: { left: 1 },
    arm: always(begin),
    observe: countReturn,
  })),
};
