// What may be reached while something is broken, as it follows from the topology and the faults in force alone.
// This module is pure.

import { siteOf, sitePairs, pathsBetween, type SoakSite, type SoakTopology } from './topology.ts';
import { touches, type Kind, type SoakFault } from './faults.ts';

/**
 * Of two sites, both ways and in both families:
 *
 * - `reached`: every pod reaches every other, seen by its own address.
 * - `refused`: no pod reaches any other, and each learns it at once.
 * - `unclear`: the topology does not say. A soak never comes there.
 */
export type Verdict = 'reached' | 'refused' | 'unclear';

/** Its gateway may not be counted on: it is dead, deaf, out of use, or has no tunnels for a moment. */
const TAKES_GATEWAY: ReadonlySet<Kind> = new Set([
  'gateway-dead',
  'suspended',
  'wireguard-killed',
  'device-deleted',
  'forward-drop',
  'forwarding-off',
  'workers-cut',
  'link-cut',
  'drained',
  'removed',
  'keys-rotated',
]);

/** Two sites are reached over a path whose gateways and underlay nothing has befallen; what is in doubt counts as broken. */
export function verdict(
  topology: SoakTopology,
  sites: readonly [SoakSite, SoakSite],
  faults: readonly SoakFault[],
): Verdict {
  if (faults.some((fault) => isHampered(topology, fault, faults))) return 'unclear';
  if (faults.some((fault) => fault.kind === 'isolated' && sites.some(({ name }) => name === fault.site)))
    return 'refused';
  const taken = new Set(faults.flatMap(takes));
  const sure = pathsBetween(sites).filter(
    (path) => !taken.has(path.join(' ⇄ ')) && !path.some((place) => taken.has(place)),
  );
  return sure.length > 0 ? 'reached' : 'unclear';
}

/** Gateways and paths that may not be counted on. */
function takes(fault: SoakFault): readonly string[] {
  if ('path' in fault) return touches(fault);
  return 'place' in fault && TAKES_GATEWAY.has(fault.kind) ? [fault.place] : [];
}

/**
 * Somebody has to act for this fault to be survived, and cannot: its daemon is dead, and its kernel does what it was told last. One that
 * hangs is left to what no other gateway reaches, and so has to say that it does not reach it either.
 */
function isHampered(topology: SoakTopology, fault: SoakFault, all: readonly SoakFault[]): boolean {
  const acting = actors(topology, fault);
  const isIdle = ({ kind }: SoakFault): boolean =>
    kind === 'daemon-killed' || (kind === 'suspended' && fault.kind === 'isolated');
  return all.some((other) => other !== fault && 'place' in other && isIdle(other) && acting.has(other.place));
}

/** Nodes whose daemons have to notice. More than would do: a soak that is in doubt does without a pair of faults. */
function actors({ sites }: SoakTopology, fault: SoakFault): ReadonlySet<string> {
  if ('path' in fault) return new Set(fault.path);
  const gateways = sites.flatMap((site) => site.gateways);
  if (fault.kind === 'isolated') return new Set([...gateways, ...sites.flatMap((site) => site.workers)]);
  if (!('place' in fault) || !TAKES_GATEWAY.has(fault.kind)) return new Set();
  const own = sites.find(({ name }) => name === siteOf(fault.place));
  return new Set([...gateways, ...(own?.workers ?? [])]);
}

/**
 * Faults that meet no other one. Most are in force only on average, which two at once would make a matter of luck; the rest changes
 * what the site is.
 */
const ALONE: ReadonlySet<Kind> = new Set([
  'lossy',
  'narrow-1296',
  'narrow-1368',
  'flapping',
  'forward-drop',
  'forwarding-off',
  'workers-cut',
  'link-cut',
  'starved',
  'removed',
  'one-lane',
  'daemon-upgraded',
]);

/** What a command of an operator refuses to begin, or cannot end, in: it wants others to carry its packets, and to tell them. */
const BARRED_BY: Partial<Record<Kind, ReadonlySet<Kind>>> = {
  drained: new Set(['isolated']),
  'keys-rotated': new Set<Kind>([
    'isolated',
    'broker-gone',
    'gateway-dead',
    'suspended',
    'wireguard-killed',
    'device-deleted',
    'black-holed',
    'one-way',
    'udp-dropped',
    'udp-rejected',
    'keys-rotated',
  ]),
};

/** Whether two faults may be in force at once: neither disturbs the other, and what may be reached is clear. */
export function mayMeet(topology: SoakTopology, a: SoakFault, b: SoakFault): boolean {
  if (ALONE.has(a.kind) || ALONE.has(b.kind)) return false;
  if (isBarred(a, b) || isBarred(b, a)) return false;
  if (touches(a).some((thing) => touches(b).includes(thing))) return false;
  return isClear(topology, [a, b]);
}

function isBarred(a: SoakFault, b: SoakFault): boolean {
  return BARRED_BY[a.kind]?.has(b.kind) === true;
}

/** Whether the topology says of each two sites what may be reached. */
export function isClear(topology: SoakTopology, faults: readonly SoakFault[]): boolean {
  return sitePairs(topology).every((sites) => verdict(topology, sites, faults) !== 'unclear');
}
