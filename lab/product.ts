// Runs the product in a lab by the commands that its operators would give on those hosts.

import fs from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '#lib/errors';
import { CommandError } from '#lib/linux';
import { bundle } from '#setup';
import { both, BROKER_LINE, sitePods } from './addresses.ts';
import type { Lab } from './lab.ts';
import { lastWords } from './last-words.ts';
import type { LabNode } from './layout.ts';

/** Makes sure of the programs, creates the clusterset and starts its broker. */
export async function createClusterset(lab: Lab): Promise<void> {
  await Promise.all((['clusterctl', 'isthmus-gateway', 'isthmus-route-agent'] as const).map(bundle));
  const advertise = both(BROKER_LINE.broker).flatMap((address) => ['--advertise', address]);
  await lab.place('broker').exec(['clusterctl', 'broker', 'create', ...advertise]);
  await startBroker(lab);
}

/** Starts the broker that was created, and waits until it listens. */
export async function startBroker(lab: Lab): Promise<void> {
  const broker = lab.place('broker');
  const before = await timesReady(lab);
  const started = await broker.spawn({ role: 'broker', argv: ['clusterctl', 'broker', 'start'] });
  for (const until = Date.now() + 15_000; ; await sleep(25)) {
    if ((await timesReady(lab)) > before) return;
    const running = await lab.processes({ role: 'broker' });
    if (running.length === 0 || Date.now() > until)
      throw new Error(
        `Cannot start the broker of lab "${lab.name}": ${await lastSaid(started.log)}\nSee ${started.log}`,
      );
  }
}

/** How often it has said so. By its own word: after a kill, the former one's server may hold the port for a moment longer. */
async function timesReady(lab: Lab): Promise<number> {
  const log = await fs.readFile(lab.home.log('broker', 'broker'), 'utf8').catch(() => '');
  return log.split('The broker is ready').length - 1;
}

async function lastSaid(file: string): Promise<string> {
  return lastWords(await fs.readFile(file, 'utf8').catch(() => ''));
}

/** Stops it as an operator would; its nats-server has to go with it. */
export async function stopBroker(lab: Lab): Promise<void> {
  await lab.kill({ role: 'broker' });
  const left = [...(await lab.programs('broker')).values()].filter((name) => name === 'nats-server');
  if (left.length > 0)
    throw new Error(`Cannot stop the broker of lab "${lab.name}": nats-server outlived it`);
}

/** A token for a site, as the broker's operator gives it out: good for one use and an hour. */
export async function issueToken(lab: Lab, site: string): Promise<string> {
  const cidrs = both(sitePods(lab.site(site).plan)).flatMap((cidr) => ['--pod-cidr', cidr]);
  const argv = ['clusterctl', 'broker', 'token', '--cluster', site, ...cidrs, '--ttl', '1h'] as const;
  return (await lab.place('broker').exec(argv)).trim();
}

/** Joins a site by a token of its own, on its first gateway. The secrets directory is all its gateways'. */
export async function joinSite(lab: Lab, site: string): Promise<void> {
  const input = await issueToken(lab, site);
  await lab.place(`${site}/gw-0`).exec(['clusterctl', 'join', '--token-file', '-'], { input });
}

/** Starts the gateway daemon on a site's gateways, and the route agent on its workers. */
export async function startDaemons(lab: Lab, site: string): Promise<void> {
  await Promise.all(lab.site(site).nodes.map((node) => startDaemon(lab, node.place)));
}

/** Starts the daemon of one node. */
export async function startDaemon(lab: Lab, place: string): Promise<void> {
  const role = daemonOf(lab.node(place).node);
  await lab.place(place).spawn({ role, argv: [`isthmus-${role}`] });
}

/** What runs on a node: a gateway daemon does what a route agent would. */
export function daemonOf(node: LabNode): 'gateway' | 'route-agent' {
  return node.role === 'gateway' ? 'gateway' : 'route-agent';
}

/** @throws {Error} that names a daemon of these sites which has ended although nobody stopped it, and why it did */
export async function expectDaemons(lab: Lab, sites: readonly string[]): Promise<void> {
  const running = new Set((await lab.processes()).map(({ role, place }) => `${role} ${place}`));
  const nodes = sites.flatMap((site) => lab.site(site).nodes);
  const ended = nodes.find((node) => !running.has(`${daemonOf(node)} ${node.place}`));
  if (ended !== undefined)
    throw new Error(
      `Cannot go on: isthmus-${daemonOf(ended)} of ${ended.place} has ended: ${await daemonSaid(lab, ended.place)}`,
    );
}

/** What the daemon of a node complained of last, and where its log is. */
export async function daemonSaid(lab: Lab, place: string): Promise<string> {
  const log = lab.home.log(daemonOf(lab.node(place).node), place);
  return `${await lastSaid(log)}\nSee ${log}`;
}

/** Stops a site's daemons; what they put into the kernels stays. */
export async function stopDaemons(lab: Lab, site: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  await Promise.all(['gateway', 'route-agent'].map((role) => lab.kill({ role, site }, signal)));
}

/** Everything that `up` does beyond the network: one clusterset over all sites. */
export async function startClusterset(lab: Lab): Promise<void> {
  await createClusterset(lab);
  for (const site of lab.layout.sites) {
    await joinSite(lab, site.name);
    await startDaemons(lab, site.name);
  }
}

/** A site leaves: its daemons stop, one gateway says so to the broker, every host is cleaned. */
export async function leaveSite(lab: Lab, site: string): Promise<void> {
  await stopDaemons(lab, site);
  const [first, ...others] = lab.site(site).nodes;
  if (first === undefined) throw new RangeError(`Cannot leave from "${site}": it has no node`);
  await lab.place(first.place).exec(['clusterctl', 'leave', '--yes']);
  await Promise.all(
    others.map((node) => lab.place(node.place).exec(['clusterctl', 'leave', '--host-only', '--yes'])),
  );
}

/** What a program said when it failed, for people. */
export function saidBy(error: unknown): string {
  if (error instanceof CommandError) return error.stderr.trim() || error.message;
  return messageOf(error);
}
