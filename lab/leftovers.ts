// What the product has left in kernels: what a left site's hosts still hold of ours, and what others still hold of the site.

import { DEVICE_PREFIX, NFT_TABLE, ROUTE_PROTOCOL } from '#lib/constants';
import { both, sitePods } from './addresses.ts';
import type { Lab } from './lab.ts';

/** One line each, `place: what`. Empty when nothing was left. */
export async function findLeftovers(lab: Lab, left: string): Promise<string[]> {
  const found = await Promise.all(
    lab.nodes.map(async (node) => {
      const own = lab.site(left).nodes.includes(node);
      const lines = own ? await ofOurs(lab, node.place) : await ofTheirs(lab, node.place, left);
      return lines.map((line) => `${node.place}: ${line}`);
    }),
  );
  return found.flat();
}

const STATE = `ip -o link | sed 's/^[0-9]*: //'
for f in 4 6; do ip -$f route show table all; ip -$f rule; done
ip nexthop
nft list tables`;

/** Whatever can be recognised as the product's, on a host that it has left. */
async function ofOurs(lab: Lab, place: string): Promise<string[]> {
  const said = await lab.place(place).exec(['sh', '-c', STATE]);
  const ours = new RegExp(`^${DEVICE_PREFIX}|(proto|protocol) ${ROUTE_PROTOCOL}\\b|table inet ${NFT_TABLE}$`);
  const programs = [...(await lab.programs(place)).values()].filter((name) => name === 'wireguard-go');
  return [...said.split('\n').filter((line) => ours.test(line)), ...programs];
}

/** Routes and WireGuard peers for a site that has left, on a host that has not. */
async function ofTheirs(lab: Lab, place: string, left: string): Promise<string[]> {
  const script =
    'for f in 4 6; do ip -$f route show table all; done; wg show all allowed-ips 2>/dev/null || :';
  const said = await lab.place(place).exec(['sh', '-c', script]);
  const cidrs = both(sitePods(lab.site(left).plan));
  return said.split('\n').filter((line) => cidrs.some((cidr) => line.split(/\s/).includes(cidr)));
}
