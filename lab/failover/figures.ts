// Figures of their own that some rows need besides silence and loss.

import type { Lab } from '../lab.ts';
import type { Trace } from '../traffic/trace.ts';
import { ReachWatch, SwitchWatch, type Attempt } from './observers.ts';
import { missing, mostSwitches, type Switch } from './switches.ts';
import type { Moments, Observer } from './row.ts';

/** `switches`: of all tunnels, the most changes that one has been through. */
export async function countSwitches(lab: Lab): Promise<Observer> {
  const watch = await SwitchWatch.start(lab);
  return {
    figures: async () => ({ switches: mostSwitches(await watch.end()) }),
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

/** `ejections`: ways that left a group although they lead neither to nor from this node. */
export function countEjections(except?: string) {
  return async (lab: Lab): Promise<Observer> => {
    const watch = await SwitchWatch.start(lab);
    return {
      figures: async () => ({
        ejections: (await watch.end()).filter((each) => isFalse(lab, each, except)).length,
      }),
      [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
    };
  };
}

/** There are two sites: a tunnel leads to the other one. */
function isFalse(lab: Lab, { place, member, change }: Switch, except?: string): boolean {
  if (change === 'came' || place === except) return false;
  if (except === undefined) return true;
  const { ordinal } = lab.node(except).node;
  const isSameSite = place.split('/')[0] === except.split('/')[0];
  if ('gateway' in member) return !(isSameSite && member.gateway === ordinal);
  return isSameSite || member.ordinal !== ordinal;
}

/**
 * `unreachableMs`: until a new connection is refused at once; `newMs` and `udpMs`: after the repair, until one is opened, and until the
 * last flow is back. Not from the pod that sends the traffic: over IPv4 a kernel says "unreachable" to one source once a second, and
 * datagrams would be told instead.
 */
export async function timeReach(lab: Lab): Promise<Observer> {
  const pods = lab.ends.filter(({ kind }) => kind === 'pod');
  const from = pods.findLast(({ site }) => site === pods[0]?.site);
  const to = pods.find(({ site }) => site !== pods[0]?.site);
  const watch = new ReachWatch(lab, from?.name ?? '', to?.addresses.v4 ?? '');
  return {
    figures: async ({ moments, trace }) => {
      const attempts = await watch.end();
      return { ...reachOf(attempts, moments), udpMs: backAfter(trace, moments) };
    },
    [Symbol.asyncDispose]: async () => {
      await watch.end();
    },
  };
}

function reachOf(attempts: readonly Attempt[], { broken, mended }: Moments): Record<string, number> {
  const refused = attempts.find(({ at, error }) => at > broken && at < mended && /UNREACH/.test(error ?? ''));
  const opened = attempts.find(({ at, error }) => at > mended && error === undefined);
  return {
    unreachableMs: (refused?.at ?? Infinity) - broken,
    newMs: (opened?.at ?? Infinity) - mended,
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
