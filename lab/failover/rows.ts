// The rows of the failover table, in its order.

import { brokerGone, daemonKilled, planned } from './change-rows.ts';
import { gatewayDead, gray, handmade, starved, suspended, tunnelKilled } from './host-rows.ts';
import { flapping, mtu, pathDead, siteDead, workerLink } from './path-rows.ts';
import type { FailoverRow } from './row.ts';

export const ROWS: readonly FailoverRow[] = [
  gatewayDead,
  tunnelKilled,
  daemonKilled,
  pathDead,
  gray,
  mtu,
  workerLink,
  siteDead,
  flapping,
  brokerGone,
  planned,
  suspended,
  starved,
  handmade,
];
