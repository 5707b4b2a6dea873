// What has to be so before a drill begins; otherwise it would be an outage, or show nothing.

import { lookup } from 'node:dns/promises';
import { loadMembership } from '#broker';
import { messageOf } from '#lib/errors';
import { contains, parseAddress } from '#lib/ip';
import type { Address } from '#lib/ip';
import type { Endpoint } from '#lib/wireguard';
import { plan } from '#topology';
import { clustersOf, onlyWay, targetOf, titleOf } from './drill-target.ts';
import type { Drill, Ground, Target } from './drill-target.ts';
import { CliError, EXIT } from './exit.ts';
import { askDaemon } from './snapshot.ts';
import type { DaemonSnapshot } from './snapshot.ts';

export interface Subject {
  readonly kind: Drill;
  /** Of gateways, that of this host; there it may be left out. */
  readonly name: string | undefined;
}

/** What this host's daemon knows at a moment, and what is to fail of it. */
export interface Standing extends DaemonSnapshot {
  readonly ground: Ground;
  readonly target: Target;
}

/** @throws {CliError} where the drill would cut a cluster off, or nothing at all */
export async function standingOf(subject: Subject, statusPort: number | undefined): Promise<Standing> {
  const snapshot = await askDaemon(statusPort);
  const node = snapshot?.fleet.own.nodes.find(({ name }) => name === snapshot.node);
  if (snapshot === undefined || node?.role !== 'gateway')
    throw new CliError(
      EXIT.unreachable,
      'Cannot drill from this host: no gateway daemon answers on it. Run this on a gateway. See: systemctl status isthmus-gateway',
    );
  const { fleet, daemon } = snapshot;
  const { host, relief } = daemon;
  const ground = { fleet, host, relief: new Set(relief), plan: plan(fleet, host) };
  const target = targetOf(subject.kind, subject.name, ground);
  const reason = target.kind === 'broker' ? withoutBroker(snapshot) : withoutTunnels(target, ground);
  if (reason !== undefined) throw new CliError(EXIT.refused, `Cannot drill ${titleOf(target)}: ${reason}`);
  return { ...snapshot, ground, target };
}

function withoutTunnels(target: Target, ground: Ground): string | undefined {
  if (!target.tunnels.some(({ id }) => ground.host.healthy.has(id)))
    return 'no packet takes it now, so nothing would fail. See: clusterctl show paths';
  const cut = onlyWay(target, ground);
  if (cut.length === 0) return undefined;
  return `${cut.join(', ')} would be cut off, nothing else leads there. See: clusterctl show paths`;
}

function withoutBroker({ daemon: { broker } }: DaemonSnapshot): string | undefined {
  if (broker?.connected !== true) return 'this host has no connection to it';
  if (broker.complete !== true) return 'this host has not read all that it needs without it. Try again';
  return undefined;
}

/** @throws {CliError} where an address would show nothing of what fails */
export function checkAddresses({ target, fleet }: Standing, addresses: readonly Address[]): void {
  const refuse = (reason: string): CliError =>
    new CliError(EXIT.usage, `Cannot drill ${titleOf(target)}: ${reason}`);
  const clusters = clustersOf(target);
  const among = fleet.remotes.filter(({ id }) => target.kind === 'broker' || clusters.has(id));
  const names = among.map(({ id }) => id).join(', ');
  if (addresses.length === 0 && target.kind !== 'broker')
    throw refuse(`nothing would be measured. Give addresses of ${names} that answer ping: --to`);
  const cidrs = among.flatMap(({ podCidrs }) => podCidrs);
  const stray = addresses.find((address) => !cidrs.some((cidr) => contains(cidr, address)));
  if (stray !== undefined) throw refuse(`${stray} is in no pod CIDR of ${names}`);
}

/** All addresses of the broker that this cluster's membership names. */
export async function brokerServers(secrets: string): Promise<readonly Endpoint[]> {
  return await serversOf((await loadMembership(secrets)).urls);
}

/** All addresses of a name. */
type Resolve = (name: string) => Promise<readonly { readonly address: string }[]>;

/**
 * A name that nobody knows now is left out: were it in use all the same, the connection would stay, and the report say so.
 *
 * @throws {CliError} where no name is known
 */
export async function serversOf(
  urls: readonly string[],
  resolve: Resolve = (name) => lookup(name, { all: true }),
): Promise<readonly Endpoint[]> {
  const found = await Promise.allSettled(
    urls.map(async (url) => {
      const { hostname, port } = new URL(url);
      const addresses = await resolve(hostname.replace(/^\[|\]$/g, ''));
      return addresses.map(({ address }) => ({ address: parseAddress(address), port: Number(port) }));
    }),
  );
  const servers = found.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  if (servers.length > 0) return servers;
  const reasons = found.flatMap((each) => (each.status === 'rejected' ? [messageOf(each.reason)] : []));
  const names = urls.map((url) => new URL(url).hostname);
  throw new CliError(
    EXIT.unreachable,
    `Cannot drill the broker: no address of it is known now (${reasons.join('; ')}). Look what this host's resolver knows: getent hosts ${names.join(' ')}`,
  );
}
