// Whether the generator did what it was asked to: where it did not, what is measured is its own.
// This module is pure.

import type { Analysis } from '../traffic/analyse.ts';

/** What each direction was asked for. */
export interface Asked {
  /** Datagrams a second. */
  readonly rate: number;
  /** Connections of both together. */
  readonly connections: number;
}

/** Of a hundred datagrams, so many have to have been sent. */
const LEAST_SENT = 98;

/** Why a run says nothing of the network; undefined: it does. @param lastedMs the window that was analysed */
export function unsound({ udp, tcp }: Analysis, asked: Asked, lastedMs: number): string | undefined {
  if (tcp.opened < asked.connections)
    return `only ${tcp.opened} of ${asked.connections} connections were open when it began`;
  const wanted = (2 * asked.rate * lastedMs) / 1000;
  const percent = (100 * udp.sent) / wanted;
  return percent < LEAST_SENT
    ? `the generator sent only ${percent.toFixed(1)} % of what it should`
    : undefined;
}
