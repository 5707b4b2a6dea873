// Pairs of sites to measure between: joined by the product, or by two WireGuard devices set up by hand.

import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { WIREGUARD_BASE_PORT, WIREGUARD_OVERHEAD } from '#lib/constants';
import { openWireGuard, PrivateKey } from '#lib/wireguard';
import * as v from 'valibot';
import { Lab, measureMatrix, startClusterset } from '#lab';
import type { LabPlace } from '#lab';

export interface RigOptions {
  /** A letter or two that tells labs of one benchmark apart. */
  readonly name: string;
  /** @default 1 */
  readonly lanes?: number;
  /** @default 1 */
  readonly gateways?: number;
  /** Megabits a second for each outer UDP flow. @default no cap */
  readonly flowMbps?: number;
}

/** Of a WireGuard device on a link of 1500. */
const DEVICE_MTU = 1500 - WIREGUARD_OVERHEAD[4];
const PATIENCE_MS = 60_000;

function up({ name, lanes = 1, gateways = 1, flowMbps = 0 }: RigOptions): Promise<Lab> {
  const site = { gateways, workers: 1, podsPerWorker: 1, hostProcesses: 0, lanes, kubeProxy: false } as const;
  const input = { internet: { flowMbps }, sites: { east: { ...site }, west: { ...site } } };
  return Lab.up(input, { name: `b${name}-${process.pid % 100_000}` });
}

/** Two sites, every tunnel up, every pod reached. */
export async function joinedSites(options: RigOptions): Promise<Lab> {
  const lab = await up(options);
  try {
    await startClusterset(lab);
    await settle(lab);
    return lab;
  } catch (error) {
    await lab.down();
    throw error;
  }
}

const Tunnels = v.array(v.object({ state: v.string() }));

/** Until every tunnel of every gateway is up, and workers know it. */
async function settle(lab: Lab): Promise<void> {
  const gateways = lab.nodes.filter(({ role }) => role === 'gateway').map(({ place }) => lab.place(place));
  for (const until = Date.now() + PATIENCE_MS; ; await sleep(500)) {
    const states = await Promise.all(
      gateways.map(async (gateway) => {
        const said = await gateway.exec(['clusterctl', 'show', 'tunnels', '-o', 'json']).catch(() => '[]');
        const tunnels = v.parse(Tunnels, JSON.parse(said));
        return tunnels.length > 0 && tunnels.every(({ state }) => state === 'up');
      }),
    );
    if (states.every(Boolean)) return await reached(lab);
    if (Date.now() > until)
      throw new Error(`Cannot measure in lab "${lab.name}": its tunnels do not come up`);
  }
}

/** Until every pod is answered; the first handshake of a tunnel may cost a few seconds. */
async function reached(lab: Lab): Promise<void> {
  for (const until = Date.now() + PATIENCE_MS; ; await sleep(500)) {
    if ((await measureMatrix(lab)).every((pair) => pair.reached)) return;
    if (Date.now() > until) throw new Error(`Cannot measure in lab "${lab.name}": not every pod is reached`);
  }
}

/** The same two sites and hops with one hand-made WireGuard device a side and static routes; nothing of the product runs. */
export async function handmadeSites(name: string): Promise<Lab> {
  const lab = await up({ name });
  try {
    const keys = { east: PrivateKey.generate(), west: PrivateKey.generate() };
    await handmadeSite(lab, { site: 'east', key: keys.east, peer: 'west', peerKey: keys.west });
    await handmadeSite(lab, { site: 'west', key: keys.west, peer: 'east', peerKey: keys.east });
    await reached(lab);
    return lab;
  } catch (error) {
    await lab.down();
    throw error;
  }
}

interface Handmade {
  readonly site: string;
  readonly key: PrivateKey;
  readonly peer: string;
  readonly peerKey: PrivateKey;
}

async function handmadeSite(lab: Lab, handmade: Handmade): Promise<void> {
  const gateway = lab.node(`${handmade.site}/gw-0`);
  const worker = lab.node(`${handmade.site}/worker-1`);
  const far = lab.site(handmade.peer).plan.podNetwork;
  const here = lab.site(handmade.site).plan.podNetwork;
  await handmadeDevice(lab, gateway, handmade);
  const out = gateway.node.addresses;
  const inside = worker.node.addresses;
  await addRoutes(gateway, [
    `10.${far}.0.0/16 dev wg0`,
    `fd10:${far}::/32 dev wg0`,
    `10.${here}.1.0/24 via ${inside.v4 ?? ''}`,
    `fd10:${here}:1::/64 via ${inside.v6 ?? ''}`,
  ]);
  const mtu = `mtu ${DEVICE_MTU}`;
  await addRoutes(worker, [
    `10.${far}.0.0/16 via ${out.v4 ?? ''} ${mtu}`,
    `fd10:${far}::/32 via ${out.v6 ?? ''} ${mtu}`,
  ]);
}

async function addRoutes(node: LabPlace, routes: readonly string[]): Promise<void> {
  await node.exec(['ip', '-batch', '-'], {
    input: routes.map((route) => `route replace ${route}\n`).join(''),
  });
  await node.exec(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
}

async function handmadeDevice(lab: Lab, gateway: LabPlace, { key, peer, peerKey }: Handmade): Promise<void> {
  const { wireguard } = await openWireGuard(gateway.run);
  if (wireguard === 'kernel') await gateway.exec(['ip', 'link', 'add', 'wg0', 'type', 'wireguard']);
  else await wireguard(['wg0']);
  const far = lab.site(peer).plan.podNetwork;
  const address = lab.node(`${peer}/gw-0`).node.addresses.v4 ?? '';
  const conf = `[Interface]
PrivateKey = ${key.reveal()}
ListenPort = ${WIREGUARD_BASE_PORT}
[Peer]
PublicKey = ${peerKey.publicKey}
AllowedIPs = 10.${far}.0.0/16, fd10:${far}::/32
Endpoint = ${address}:${WIREGUARD_BASE_PORT}
`;
  // Node's stdin is a socket, which nobody can open by its path.
  await gateway.exec(['sh', '-c', 'cat | wg setconf wg0 /dev/stdin'], { input: conf });
  await gateway.exec(['ip', 'link', 'set', 'wg0', 'up', 'mtu', String(DEVICE_MTU)]);
}
