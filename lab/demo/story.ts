// The demo: three sites become one network, lose their broker, and one of them leaves again.

import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { CommandError } from '#lib/linux';
import { both, sitePods } from '../addresses.ts';
import type { Lab } from '../lab.ts';
import { findLeftovers } from '../leftovers.ts';
import { measureMatrix, type MatrixPair } from '../matrix.ts';
import {
  createClusterset,
  daemonSaid,
  expectDaemons,
  joinSite,
  leaveSite,
  startBroker,
  startDaemons,
  stopBroker,
} from '../product.ts';
import { measureThroughput } from '../throughput.ts';
import { alignColumns, drawMatrix } from './draw.ts';
import type { Progress } from './progress.ts';
import { countKept, countReached, type Report } from './report.ts';

export interface StoryOptions {
  readonly lab: Lab;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Leaves the clusterset whole: nobody leaves, the broker runs at the end. */
  readonly keep: boolean;
}

/** How long anything may take to settle: two loaded cores need some seconds, and what has died is seen at once. */
const PATIENCE_MS = 45_000;

function siteNames(lab: Lab): string[] {
  return lab.layout.sites.map((site) => site.name);
}

export async function tell(options: StoryOptions): Promise<Omit<Report, 'seconds'>> {
  const { lab, progress } = options;
  await found(options);
  await showTunnels(options);
  const pairs = await connect(options);
  const throughputMbps = await race(options);
  const down = await withoutBroker(options);
  const leftovers = options.keep ? [] : await leave(options);
  if (leftovers.length > 0) progress.show(leftovers);
  return {
    sites: siteNames(lab),
    pairs: pairs.length,
    reached: countReached(pairs),
    sourceKept: countKept(pairs),
    throughputMbps,
    brokerDown: { reached: countReached(down) },
    afterLeave: { leftovers: leftovers.length },
  };
}

/** Broker, members, daemons. */
async function found({ lab, progress, signal }: StoryOptions): Promise<void> {
  await progress.step('Creating the clusterset and starting its broker', async () => {
    await createClusterset(lab);
    return { value: undefined, said: 'broker: clusterctl broker create, clusterctl broker start' };
  });
  for (const { name, scenario } of lab.layout.sites) {
    signal.throwIfAborted();
    await progress.step(`Joining ${name}`, async () => {
      await joinSite(lab, name);
      await startDaemons(lab, name);
      const how = scenario.nat === 'dial-out' ? ', behind a router that lets nothing in' : '';
      return { value: undefined, said: `${name}/gw-0: clusterctl join --token …${how}` };
    });
  }
}

/** The columns of `clusterctl show tunnels` that say most. */
const tunnelRow = v.object({
  tunnel: v.string(),
  device: v.string(),
  endpoint: v.optional(v.string(), 'learnt'),
  state: v.optional(v.string(), 'unknown'),
});
type TunnelRow = v.InferOutput<typeof tunnelRow>;

/** The tunnels of one gateway. */
interface GatewayTunnels {
  readonly place: string;
  readonly wanted: number;
  readonly tunnels: readonly TunnelRow[];
}

/** What `clusterctl show tunnels` says on every gateway, once every tunnel is up. */
async function showTunnels({ lab, progress, signal }: StoryOptions): Promise<void> {
  const gateways = lab.nodes.filter((node) => node.role === 'gateway');
  const found = await progress.step('Waiting for tunnels', async () => {
    const until = Date.now() + PATIENCE_MS;
    const all: GatewayTunnels[] = [];
    // One after the other: what waits has the time that asking takes.
    for (const { place } of gateways) all.push(await waitForTunnels(lab, place, { until, signal }));
    const up = all.flatMap(({ tunnels }) => tunnels.filter(isUp)).length;
    const wanted = all.reduce((sum, each) => sum + each.wanted, 0);
    const lacking = all.find((each) => each.tunnels.filter(isUp).length < each.wanted);
    if (lacking !== undefined)
      throw new Error(
        `Cannot go on: only ${up} of ${wanted} tunnels are up. ${await whyNotUp(lab, lacking)}`,
      );
    return { value: all, said: `${up} of ${wanted} tunnels up` };
  });
  const rows = found.flatMap(({ place, tunnels }) =>
    tunnels.map(({ tunnel, device, endpoint, state }) => [place, tunnel, device, endpoint, state]),
  );
  const head = ['gateway', 'to gateway#lane', 'device', 'endpoint', 'state'];
  progress.show(alignColumns([head, ...rows], head.length));
}

/** @throws {Error} as soon as a daemon, anywhere, has ended: then nothing is worth waiting for */
async function waitForTunnels(
  lab: Lab,
  place: string,
  { until, signal }: { readonly until: number; readonly signal: AbortSignal },
): Promise<GatewayTunnels> {
  const wanted = tunnelsWanted(lab, place);
  for (;;) {
    const tunnels = await tunnelsOf(lab, place);
    if (tunnels.filter(isUp).length >= wanted || Date.now() > until) return { place, wanted, tunnels };
    await expectDaemons(lab, siteNames(lab));
    await sleep(300, undefined, { signal });
  }
}

async function whyNotUp(lab: Lab, { place, tunnels }: GatewayTunnels): Promise<string> {
  const down = tunnels.filter((row) => !isUp(row)).map((row) => row.tunnel);
  const lacks = down.length === 0 ? 'knows too few gateways' : `does not reach ${down.join(', ')}`;
  return `${place} ${lacks}; its daemon said last: ${await daemonSaid(lab, place)}`;
}

/** To every gateway of every other site, once a lane that both have; two sites that can only dial out have no path yet. */
function tunnelsWanted(lab: Lab, place: string): number {
  const own = lab.layout.sites.find((site) => site.nodes.some((node) => node.place === place));
  const counts = lab.layout.sites
    .filter((site) => site !== own && [site, own].some((each) => each?.scenario.nat !== 'dial-out'))
    .map(({ scenario }) => scenario.gateways * Math.min(scenario.lanes, own?.scenario.lanes ?? 0));
  return counts.reduce((sum, count) => sum + count, 0);
}

function isUp({ state }: TunnelRow): boolean {
  return state === 'up';
}

/** None yet where the daemon has not come so far. */
async function tunnelsOf(lab: Lab, place: string): Promise<TunnelRow[]> {
  try {
    const said = await lab.place(place).exec(['clusterctl', 'show', 'tunnels', '-o', 'json']);
    return v.parse(v.array(tunnelRow), JSON.parse(said));
  } catch (error) {
    if (error instanceof CommandError) return [];
    throw error;
  }
}

async function connect({ lab, progress }: StoryOptions): Promise<MatrixPair[]> {
  const pairs = await progress.step('Reaching every pod from everywhere else', async () => {
    const pairs = await settledMatrix(lab);
    return {
      value: pairs,
      said: `${countReached(pairs)} of ${pairs.length} pairs reached (IPv4 and IPv6), ${countKept(pairs)} seen by their own address`,
    };
  });
  progress.show(['round trip in ms, the slower of IPv4 and IPv6', ...drawMatrix(pairs)]);
  return pairs;
}

/** Asks until all is well: a tunnel that the table shows may still be on its way into some worker's routes. */
async function settledMatrix(lab: Lab): Promise<MatrixPair[]> {
  for (const until = Date.now() + PATIENCE_MS; ;) {
    const pairs = await measureMatrix(lab, { calm: true });
    await expectDaemons(lab, siteNames(lab));
    if (countKept(pairs) === pairs.length || Date.now() > until) return pairs;
  }
}

function race({ lab, progress }: StoryOptions): Promise<number> {
  return progress.step('Measuring throughput', async () => {
    const { mbps } = await measureThroughput(lab, { from: 'east/pod-a', to: 'west/pod-a', seconds: 2 });
    // A newcomer would take its speed for the product's.
    const isUserspace = [...(await lab.programs('east/gw-0')).values()].includes('wireguard-go');
    const by = isUserspace ? ', through wireguard-go: this kernel has no WireGuard' : '';
    return { value: mbps, said: `east/pod-a → west/pod-a: ${Math.round(mbps)} Mbit/s, one TCP stream${by}` };
  });
}

async function withoutBroker({ lab, progress }: StoryOptions): Promise<MatrixPair[]> {
  const pairs = await progress.step('Stopping the broker', async () => {
    await stopBroker(lab);
    const pairs = await measureMatrix(lab);
    await expectDaemons(lab, siteNames(lab));
    return {
      value: pairs,
      said: `broker stopped: still ${countReached(pairs)} of ${pairs.length} pairs reached`,
    };
  });
  await progress.step('Starting the broker again', async () => {
    await startBroker(lab);
    return { value: undefined, said: 'broker started again' };
  });
  return pairs;
}

function leave({ lab, progress, signal }: StoryOptions): Promise<string[]> {
  const site = lab.layout.sites.at(-1)?.name ?? '';
  return progress.step(`${site} leaves`, async () => {
    await leaveSite(lab, site);
    let leftovers = await findLeftovers(lab, site);
    const until = Date.now() + PATIENCE_MS;
    while (leftovers.length > 0 && Date.now() < until) {
      await sleep(100, undefined, { signal });
      leftovers = await findLeftovers(lab, site);
    }
    await expectDaemons(
      lab,
      siteNames(lab).filter((name) => name !== site),
    );
    const cidrs = both(sitePods(lab.site(site).plan)).join(' and ');
    return {
      value: leftovers,
      said: `${site} left: ${leftovers.length} traces of it or of ${cidrs} on any host`,
    };
  });
}
