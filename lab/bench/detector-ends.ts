// The ends of two thousand paths over one loopback: a gateway here, and the gateways of a thousand clusters there.

import { createHash } from 'node:crypto';
import type { ProbedPath } from '#host';
import { TRANSIT_RESPONDERS } from '#lib/constants';
import type { TransitAsk, TransitSpec } from '#lib/health';
import { parseAddress } from '#lib/ip';
import { PrivateKey } from '#lib/wireguard';
import { CLUSTERS, GATEWAYS } from './fleet.ts';

/** The IPv6 fabric: the IPv4 one ends at the 255th cluster. */
const FABRIC = 'fd73:1:1';
/** Far gateways of this network can be silenced all at once: they are half. */
export const SILENCED = `${FABRIC}:3::/64`;
/** Nodes behind far gateways; they answer for several clusters each. */
const ECHOES = 100;
/** MTU of a WireGuard device on a link of 1500. */
const CEILING = 1420;

interface Path {
  readonly id: string;
  readonly cluster: string;
  readonly here: string;
  readonly there: string;
  readonly isSilenced: boolean;
}

const PATHS: readonly Path[] = Array.from({ length: CLUSTERS * GATEWAYS }, (_, at) => {
  const [index, ordinal] = [Math.floor(at / GATEWAYS) + 1, at % GATEWAYS];
  const isSilenced = index > CLUSTERS / 2;
  const cluster = `cluster-${String(index).padStart(4, '0')}`;
  return {
    id: `${cluster}/${ordinal}#0`,
    cluster,
    here: parseAddress(`${FABRIC}:1::${ordinal + 1}`),
    there: parseAddress(`${FABRIC}:${isSilenced ? 3 : 2}::${index.toString(16)}:${ordinal + 1}`),
    isSilenced,
  };
});

export const ECHO_ADDRESSES: ReadonlySet<string> = new Set(
  Array.from({ length: ECHOES }, (_, at) => echo(at)),
);
/** Everything that stands on the loopback. */
export const ADDRESSES: ReadonlySet<string> = new Set([
  ...PATHS.flatMap(({ here, there }) => [here, there]),
  ...ECHO_ADDRESSES,
]);
export const SILENCED_PATHS: readonly string[] = PATHS.flatMap(({ id, isSilenced }) =>
  isSilenced ? [id] : [],
);

/** One key for all far gateways: with another address each, no two paths have the same seal. */
const KEYS = { here: keyOf('here'), there: keyOf('there') };

/** As one end sees them. */
export function pathsOf(end: 'here' | 'there'): ProbedPath[] {
  const other = end === 'here' ? 'there' : 'here';
  return PATHS.map((path) => {
    const { id, cluster } = path;
    const spec = { id, neighbour: cluster, far: path[other], ceiling: CEILING, isTunnel: true };
    const secret = { own: KEYS[end], peer: KEYS[other].publicKey };
    return { spec, peer: { id, ends: [{ local: path[end], remote: path[other] }], secret } };
  });
}

/** Each far gateway, as one that forwards IPv6. */
export function gatewaysBehind(): TransitSpec[] {
  return PATHS.map(({ id, cluster }) => ({ id, cluster, responders: TRANSIT_RESPONDERS }));
}

/** The address of a node behind. */
export function behind({ gateway, responder }: TransitAsk): string {
  return echo((Number.parseInt(gateway.slice('cluster-'.length), 10) + responder) % ECHOES);
}

function echo(at: number): string {
  return parseAddress(`${FABRIC}:4::${(at + 1).toString(16)}`);
}

function keyOf(seed: string): PrivateKey {
  return PrivateKey.parse(createHash('sha256').update(seed).digest('base64'));
}
