// What a drill is about: which tunnels it takes, what is left without them, and which packets that means.
// This module is pure.

import type { Endpoint, Device } from '#lib/wireguard';
import { clusterOf, ordinalOf } from '#topology';
import type { Fleet, Host, HostPlan, TunnelPlan } from '#topology';
import type { Cut } from './drill-rules.ts';
import { CliError, EXIT } from './exit.ts';

export const DRILLS = ['gateway', 'path', 'cluster', 'broker'] as const;
/** What fails. */
export type Drill = (typeof DRILLS)[number];

export interface Ground {
  readonly fleet: Fleet;
  readonly host: Host;
  /** Indexes of clusters that other own gateways lead to which do not drain. */
  readonly relief: ReadonlySet<number>;
  readonly plan: HostPlan;
}

export interface Target {
  readonly kind: Drill;
  /** `gw-0`, `west/1#0`, `west`, `broker`. */
  readonly name: string;
  /** Of this gateway, whether they carry packets or not; none of the broker's. */
  readonly tunnels: readonly TunnelPlan[];
}

/** @throws {CliError} where there is no such thing on this host */
export function targetOf(kind: Drill, name: string | undefined, ground: Ground): Target {
  const found = FINDERS[kind](name, ground);
  if (typeof found === 'object') return { kind, ...found };
  const title = name === undefined ? kind : `${kind} "${name}"`;
  throw new CliError(EXIT.usage, `Cannot drill ${title}: ${found}`);
}

/** As it is called in sentences: `path "west/1#0"`, `the broker`. */
export function titleOf({ kind, name }: Pick<Target, 'kind' | 'name'>): string {
  return kind === 'broker' ? 'the broker' : `${kind} "${name}"`;
}

/** What is meant by a name, or why there is no such thing. */
type Find = (name: string | undefined, ground: Ground) => Omit<Target, 'kind'> | string;

const FINDERS: Readonly<Record<Drill, Find>> = {
  broker: (name) =>
    name === undefined ? { name: 'broker', tunnels: [] } : 'there is one broker, and it has no name',
  gateway: (name, { host, plan: { tunnels } }) =>
    name === undefined || name === host.node
      ? { name: host.node, tunnels }
      : `this host is "${host.node}", and a failure is made on the gateway itself. Run this on ${name}`,
  path: (name, { plan }) => {
    const tunnels = plan.tunnels.filter(({ id }) => id === name);
    return name === undefined || tunnels.length === 0
      ? 'it is no tunnel of this gateway, and links to own nodes cannot be drilled one by one. See: clusterctl show tunnels'
      : { name, tunnels };
  },
  cluster: (name, { fleet, plan }) =>
    name !== undefined && fleet.remotes.some(({ id }) => id === name)
      ? { name, tunnels: plan.tunnels.filter(({ id }) => clusterOf(id) === name) }
      : 'there is no such cluster. See: clusterctl show clusters',
};

/** Clusters that the target's tunnels lead to. */
export function clustersOf({ tunnels }: Target): ReadonlySet<string> {
  return new Set(tunnels.map(({ id }) => clusterOf(id)));
}

/** Clusters that this cluster reaches now and would not reach without the target. */
export function onlyWay({ tunnels }: Target, { fleet, host, relief }: Ground): string[] {
  const cut = new Set(tunnels.map(({ id }) => id));
  const healthy = [...host.healthy];
  const now = new Set(healthy.filter((id) => cut.has(id)).map(clusterOf));
  const still = new Set(healthy.filter((id) => !cut.has(id)).map(clusterOf));
  return fleet.remotes
    .filter(({ id, index }) => now.has(id) && !still.has(id) && !relief.has(index))
    .map(({ id }) => id);
}

/** @param devices as the kernel holds them: a far end may be elsewhere than its record says */
export function cutOf(target: Target, { fleet, host, plan }: Ground, devices: readonly Device[]): Cut {
  if (target.kind !== 'gateway')
    return { tunnels: target.tunnels.flatMap((tunnel) => outerOf(tunnel, { fleet, plan, devices })) };
  const nodes = fleet.own.nodes.filter(({ name }) => name !== host.node);
  return {
    ports: plan.devices.map(({ listenPort }) => listenPort),
    nodes: nodes.flatMap(({ addresses }) => addresses),
  };
}

interface Sources extends Pick<Ground, 'fleet' | 'plan'> {
  readonly devices: readonly Device[];
}

/** Where the far end is dialled, where it was last heard from, and the other addresses that it has. */
function outerOf(tunnel: TunnelPlan, { fleet, plan, devices }: Sources): NonNullable<Cut['tunnels']> {
  const planned = plan.devices.find(({ name }) => name === tunnel.device);
  if (planned === undefined) return [];
  const held = devices.find(({ name }) => name === tunnel.device);
  const dialled = peerEnd(planned.peers, tunnel);
  const heard = peerEnd(held?.peers ?? [], tunnel);
  const port = (dialled ?? heard)?.port;
  const others = addressesOf(tunnel, fleet);
  const ends = [dialled, heard, ...others.map((address) => port && { address, port })];
  return ends.flatMap((peer) => (peer ? [{ port: planned.listenPort, peer }] : []));
}

function peerEnd(
  peers: readonly { readonly publicKey: TunnelPlan['peer']; readonly endpoint?: Endpoint }[],
  { peer }: TunnelPlan,
): Endpoint | undefined {
  return peers.find(({ publicKey }) => publicKey === peer)?.endpoint;
}

function addressesOf({ id }: TunnelPlan, { remotes }: Fleet): readonly Endpoint['address'][] {
  const ordinal = ordinalOf(id);
  const gateways = remotes.find((remote) => remote.id === clusterOf(id))?.gateways;
  return gateways?.find((gateway) => gateway.ordinal === ordinal)?.endpoint?.addresses ?? [];
}
