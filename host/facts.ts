// What the plan needs to know of this machine, read from the kernel.

import * as v from 'valibot';
import { parseAddress } from '#lib/ip';
import type { Address } from '#lib/ip';
import { DEVICE_PREFIX } from '#lib/constants';
import type { Run } from '#lib/linux';
import type { Host, Node } from '#topology';

/** The part of {@link Host} that the machine itself knows. */
export type HostFacts = Pick<Host, 'uplink' | 'addresses'>;

const Links = v.array(
  v.object({
    ifname: v.string(),
    mtu: v.optional(v.number(), 0),
    addr_info: v.optional(v.array(v.object({ local: v.optional(v.string()), scope: v.optional(v.string()) })), []),
  }),
);
const Routes = v.array(v.object({ dev: v.optional(v.string()), metric: v.optional(v.number(), 0) }));

/**
 * The device that carries the node's address, its MTU (not above the one that packets leave the site by), and the
 * addresses that others have put on this host.
 * @throws {Error} when the host has none of the node's addresses
 */
export async function readFacts(run: Run, node: Node): Promise<HostFacts> {
  const links = v.parse(Links, JSON.parse((await run({ argv: ['ip', '-json', 'address', 'show'] })) || '[]'));
  const foreign = links
    .filter(({ ifname }) => !ifname.startsWith(DEVICE_PREFIX))
    .map(({ ifname, mtu, addr_info }) => ({ device: ifname, mtu, addresses: addr_info.flatMap(addressOf) }));
  const uplink = foreign.find(({ addresses }) => node.addresses.some((own) => addresses.includes(own)));
  const addresses = foreign.flatMap((link) => link.addresses);
  if (uplink === undefined) {
    throw new Error(
      `Cannot act as node "${node.name}": this host has none of its addresses ${node.addresses.join(', ')}. Correct nodes[].addresses in site.yaml, or say which node this is by --node`,
    );
  }
  const outer = await defaultDevices(run);
  const mtus = foreign.filter(({ device }) => outer.has(device)).map(({ mtu }) => mtu);
  return { uplink: { device: uplink.device, mtu: Math.min(uplink.mtu, ...mtus) }, addresses };
}

function addressOf({ local, scope }: { local?: string | undefined; scope?: string | undefined }): Address[] {
  if (local === undefined || scope === 'host') return [];
  const address = parseAddress(local);
  return [address];
}

/** Devices of the default routes of the main table, both families. */
async function defaultDevices(run: Run): Promise<Set<string>> {
  const devices = new Set<string>();
  for (const family of ['-4', '-6']) {
    const text = await run({ argv: ['ip', family, '-json', 'route', 'show', 'default'] });
    for (const { dev } of v.parse(Routes, JSON.parse(text || '[]'))) if (dev !== undefined) devices.add(dev);
  }
  return devices;
}
