// A fleet of many clusters, for benchmarks.

import { FABRIC4_DEFAULT, WIREGUARD_BASE_PORT } from '#lib/constants';
import { isCidr4, isCidr6, parseAddress, parseCidr } from '#lib/ip';
import type { Cidr } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import { parsePublicKey } from '#lib/wireguard';
import type { Fleet, Host, Node, RemoteCluster, TunnelId } from '#topology';

export const CLUSTERS = 1000;
export const GATEWAYS = 2;
export const LANES = 2;

/** Dual-stack pods, IPv4 underlay, everybody reachable. */
export function largeFleet(): Fleet {
  const nodes = Array.from({ length: GATEWAYS }, (_, ordinal): Node => {
    const address = parseAddress(`192.0.2.${10 + ordinal}`);
    const endpoint = { addresses: [address], port: WIREGUARD_BASE_PORT };
    const podCidrs = [parseCidr(`10.0.${ordinal}.0/24`), parseCidr(`fd10:0:${ordinal}::/64`)];
    return { name: `gw-${ordinal}`, role: 'gateway', ordinal, addresses: [address], podCidrs, endpoint };
  });
  return {
    fabric: fabricOf(parseCidr(FABRIC4_DEFAULT), parseCidr('fdfa:bfab:1::/48')),
    own: {
      id: parseClusterId('own'),
      index: 1,
      podCidrs: [parseCidr('10.0.0.0/18'), parseCidr('fd10::/32')],
      serviceCidrs: [],
      lanes: LANES,
      listenPort: WIREGUARD_BASE_PORT,
      link: 'vxlan',
      nodes,
    },
    remotes: Array.from({ length: CLUSTERS }, (_, at) => remoteCluster(at + 2)),
  };
}

function fabricOf(v4: Cidr, v6: Cidr): Fleet['fabric'] {
  if (isCidr4(v4) && isCidr6(v6)) return { v4, v6 };
  throw new TypeError(`Cannot use "${v4}" and "${v6}" as a fabric: they are not one of each family`);
}

function remoteCluster(index: number): RemoteCluster {
  const high = 1 + (index >> 2);
  return {
    id: parseClusterId(`cluster-${String(index).padStart(4, '0')}`),
    index,
    podCidrs: [
      parseCidr(`10.${high & 255}.${(index & 3) * 64}.0/18`),
      parseCidr(`fd10:${index.toString(16)}::/32`),
    ],
    serviceCidrs: [],
    gateways: Array.from({ length: GATEWAYS }, (_, ordinal) => ({
      ordinal,
      keys: Array.from({ length: LANES }, (_, lane) => keyOf(index, ordinal, lane)),
      endpoint: {
        addresses: [parseAddress(`198.51.${index >> 7}.${(index & 127) * 2 + ordinal}`)],
        port: WIREGUARD_BASE_PORT,
      },
    })),
  };
}

function keyOf(...numbers: readonly number[]): ReturnType<typeof parsePublicKey> {
  const bytes = Buffer.alloc(32);
  for (const [at, number] of numbers.entries()) bytes.writeUInt16BE(number, 2 * at);
  return parsePublicKey(bytes.toString('base64'));
}

/** On a gateway with every tunnel up. */
export function gatewayHost({ remotes }: Fleet): Host {
  const healthy = remotes.flatMap(({ id, gateways }) =>
    gateways.flatMap(({ ordinal, keys }) => keys.map((_, lane): TunnelId => `${id}/${ordinal}#${lane}`)),
  );
  return {
    node: 'gw-0',
    uplink: { device: 'eth0', mtu: 1500 },
    resilient: true,
    healthy: new Set(healthy),
    addresses: [parseAddress('192.0.2.10')],
  };
}

/** Another cluster moves its gateways each time: all other remotes are the same objects. */
export function changed(fleet: Fleet, round: number): Fleet {
  const at = (round * 37) % CLUSTERS;
  const port = WIREGUARD_BASE_PORT + round;
  const remotes = fleet.remotes.map((remote, position) => {
    if (position !== at) return remote;
    const gateways = remote.gateways.map((gateway) =>
      gateway.endpoint === undefined ? gateway : { ...gateway, endpoint: { ...gateway.endpoint, port } },
    );
    return { ...remote, gateways };
  });
  return { ...fleet, remotes };
}
