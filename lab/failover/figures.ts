// Figures of their own that some rows need besides silence and loss.

import { WIREGUARD_OVERHEAD } from '#lib/constants';
import type { Lab } from '../lab.ts';
import type { Trace } from '../traffic/trace.ts';
import { busyBetween, readCores } from './cores.ts';
import { isRefused, ReachWatch, SwitchWatch, type Attempt } from './observers.ts';
import { emptiedAt, fittedAt, missing, mostSwitches, resized, type Switch } from './switches.ts';
import type { Armed, Moments, Observer } from './row.ts';

/** `switches`: of all tunnels, the most changes that one has been through; `resized`: ways exchanged for the same with another size. */
export async function countSwitches(lab: Lab): Promise<Observer> {
  const watch = await SwitchWatch.start(lab);
  return {
    figures: async () => {
      const switches = await watch.end();
      return { switches: mostSwitches(switches), resized: resized(switches) };
    },
    [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
  };
}

/** `missing`: ways that left a group, and are not back at the end. */
export async function countMissing(lab: Lab): Promise<Observer> {
  const watch = await SwitchWatch.start(lab);
  return {
    figures: async () => ({ missing: missing(await watch.end()) }),
    [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
  };
}

/** `left`: ways that left a group; `missing`, that are not back at the end; `backMs`: from the way back until the last of them is. */
export async function countReturn(lab: Lab): Promise<Observer> {
  const watch = await SwitchWatch.start(lab);
  return {
    isBack: () => missing(watch.switches()) === 0,
    figures: async ({ moments }) => {
      const switches = await watch.end();
      const left = switches.filter(({ change }) => change === 'left').length;
      const came = switches.flatMap(({ change, at }) => (change === 'came' ? [at] : []));
      return {
        left,
        missing: missing(switches),
        backMs: Math.max(moments.mended, ...came) - moments.mended,
      };
    },
    [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
  };
}

/**
 * `mtuMs`: until neither gateway of the path sends packets over it any more that are too large for it, be it that it sends smaller ones
 * or that it has left the path.
 */
export function timeMtu(above: number) {
  return async (lab: Lab, { path = ['', ''] }: Armed): Promise<Observer> => {
    const watch = await SwitchWatch.start(lab);
    // Packets of IPv4 are what tunnels are carried by where both ends have it.
    const carries = above - WIREGUARD_OVERHEAD[4];
    const ends = [path, path.toReversed()] as const;
    return {
      figures: async ({ moments: { broken, mended } }) => {
        await watch.end();
        const fitted = ends.map(([near = '', far = '']) => {
          const { ordinal = -1 } = lab.node(far).node;
          const told = watch.said(near).filter(({ at }) => at < mended);
          return fittedAt(told, { ordinal, carries });
        });
        return { mtuMs: Math.max(...fitted) - broken };
      },
      [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
    };
  };
}

/** Of flapping: `switches`, and `restLost` of the flows that lost nothing when it first broke. */
export async function countFlapping(lab: Lab): Promise<Observer> {
  const switches = await countSwitches(lab);
  return {
    figures: async (run) => ({
      ...(await switches.figures(run)),
      restLost: lostByOthers(run.trace, run.moments),
    }),
    [Symbol.asyncDispose]: () => switches[Symbol.asyncDispose](),
  };
}

/** Whoever is on the path loses something as soon as the first does: each sends more often than this. Shorter than half a turn. */
const FIRST_MS = 300;

function lostByOthers({ flows }: Trace, { broken, end }: Moments): number {
  const lost = flows.map((flow) => {
    const arrived = new Set(flow.arrivals.map(({ sequence }) => sequence));
    return flow.sent.filter((at, sequence) => at >= broken && at < end && !arrived.has(sequence));
  });
  const first = Math.min(...lost.map((times) => times[0] ?? Infinity));
  const others = lost.filter((times) => (times[0] ?? Infinity) > first + FIRST_MS);
  return others.reduce((sum, times) => sum + times.length, 0);
}

/** `ejections`: ways that left a group although they lead neither to nor from this node; `resized`: exchanged for another size. */
export function countEjections(except?: string) {
  return async (lab: Lab): Promise<Observer> => {
    const watch = await SwitchWatch.start(lab);
    return {
      figures: async () => {
        const switches = await watch.end();
        return {
          ejections: switches.filter((each) => isFalse(lab, each, except)).length,
          resized: resized(switches),
        };
      },
      [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
    };
  };
}

/** As {@link countEjections}; `busy`: of a hundred parts of all cores' time until the repair, those that somebody used. */
export async function countStarved(lab: Lab): Promise<Observer> {
  const ejections = await countEjections()(lab);
  const before = readCores();
  let after = before;
  return {
    mending: () => {
      after = readCores();
    },
    figures: async (run) => ({ ...(await ejections.figures(run)), busy: busyBetween(before, after) }),
    [Symbol.asyncDispose]: () => ejections[Symbol.asyncDispose](),
  };
}

/** There are two sites: a tunnel leads to the other one. */
function isFalse(lab: Lab, { place, member, change }: Switch, except?: string): boolean {
  if (change !== 'left' || place === except) return false;
  if (except === undefined) return true;
  const { ordinal } = lab.node(except).node;
  const isSameSite = place.split('/')[0] === except.split('/')[0];
  if ('gateway' in member) return !(isSameSite && member.gateway === ordinal);
  return isSameSite || member.ordinal !== ordinal;
}

/**
 * Of two sites, each figure that of the slowest: `unreachableMs`, until no worker's kernel has a way to the other site any more; `refusedMs` and
 * `refused6Ms`, until a new connection hears of it; after the repair `newMs`, until one is opened in both families, and `udpMs`, until the last
 * flow is back. Not from the pods that send the traffic: over IPv4 a kernel says "unreachable" to one source once a second, and
 * datagrams would be told instead.
 */
export async function timeReach(lab: Lab): Promise<Observer> {
  const groups = await SwitchWatch.start(lab);
  const watches = ways(lab).map(({ family, from, address }) => {
    return { family, watch: new ReachWatch(lab, from, address) };
  });
  const end = async (): Promise<void> => {
    await Promise.all(watches.map(({ watch }) => watch.end()));
    await groups[Symbol.asyncDispose]();
  };
  return {
    figures: async ({ moments, trace }) => {
      await groups.end();
      const { broken, mended } = moments;
      const workers = lab.nodes.filter(({ role }) => role === 'worker');
      const emptied = workers.map(({ place }) => emptiedAt(groups.said(place), mended));
      const seen = watches.map(async ({ family, watch }) => ({ family, attempts: await watch.end() }));
      return {
        unreachableMs: Math.max(...emptied) - broken,
        ...reachOf(await Promise.all(seen), moments),
        udpMs: backAfter(trace, moments),
      };
    },
    [Symbol.asyncDispose]: end,
  };
}

interface Way {
  readonly family: 'v4' | 'v6';
  readonly from: string;
  readonly address: string;
}

/** From a site's last pod to the other site's first, there and back. */
function ways(lab: Lab): Way[] {
  const pods = lab.ends.filter(({ kind }) => kind === 'pod');
  const [here = [], there = []] = [...Map.groupBy(pods, ({ site }) => site).values()];
  return [[here, there] as const, [there, here] as const].flatMap(([near, far]) =>
    (['v4', 'v6'] as const).flatMap((family) => {
      const address = far[0]?.addresses[family];
      return address === undefined ? [] : [{ family, from: near.at(-1)?.name ?? '', address }];
    }),
  );
}

function reachOf(
  all: readonly { readonly family: 'v4' | 'v6'; readonly attempts: readonly Attempt[] }[],
  { broken, mended }: Moments,
): Readonly<Record<string, number>> {
  const seen = all.map(({ family, attempts }) => {
    const refused = attempts.find((each) => each.at > broken && each.at < mended && isRefused(each));
    const opened = attempts.find(({ at, error }) => at > mended && error === undefined);
    return { family, refusedAt: refused?.at ?? Infinity, openedAt: opened?.at ?? Infinity };
  });
  const refused = (wanted: 'v4' | 'v6'): number =>
    Math.max(...seen.flatMap(({ family, refusedAt }) => (family === wanted ? [refusedAt] : [])));
  return {
    refusedMs: refused('v4') - broken,
    refused6Ms: refused('v6') - broken,
    newMs: Math.max(...seen.map(({ openedAt }) => openedAt)) - mended,
  };
}

function backAfter({ flows }: Trace, { mended }: Moments): number {
  return Math.max(
    ...flows.map(({ arrivals }) => (arrivals.find(({ at }) => at > mended)?.at ?? Infinity) - mended),
  );
}

/** `lossMs`: from the fault to the last datagram that it took. */
export async function timeLoss(): Promise<Observer> {
  return {
    figures: async ({ trace, moments }) => ({ lossMs: lastLoss(trace, moments) }),
    [Symbol.asyncDispose]: async () => {},
  };
}

function lastLoss({ flows }: Trace, { broken, end }: Moments): number {
  const last = flows.map((flow) => {
    const arrived = new Set(flow.arrivals.map(({ sequence }) => sequence));
    const at = flow.sent.findLast((sent, n) => sent >= broken && sent < end && !arrived.has(n));
    return (at ?? broken) - broken;
  });
  return Math.max(0, ...last);
}
