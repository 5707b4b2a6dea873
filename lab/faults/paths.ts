// Breaks underlay paths between sites, in the routers that they lead through.

import type { Lab } from '../lab.ts';
import { both } from '../addresses.ts';
import { faultOf, together, type Fault } from './fault.ts';
import { pathTable, uplinkTable, type PathRule } from './rules.ts';
import { tableFault } from './table.ts';

/** Two gateways of different sites, `east/gw-0` and `west/gw-1`. */
export type UnderlayPath = readonly [string, string];

export interface PathOptions {
  /** `there`: what the first sends to the second. @default both */
  readonly direction?: 'both' | 'there' | 'back';
}

/** Everything on a path disappears. */
export function blackHole(lab: Lab, path: UnderlayPath, options: PathOptions = {}): Promise<Fault> {
  return pathFault(lab, path, { ...options, what: 'black-holed', rule: { verdict: 'drop' } });
}

/** So many of a hundred packets disappear, each by its own throw of dice. */
export function lose(
  lab: Lab,
  path: UnderlayPath,
  options: PathOptions & { readonly percent: number },
): Promise<Fault> {
  const { percent } = options;
  return pathFault(lab, path, { ...options, what: `loses ${percent} %`, rule: { verdict: 'drop', percent } });
}

/** A firewall on the path has something against UDP. */
export function forbidUdp(
  lab: Lab,
  path: UnderlayPath,
  options: PathOptions & { readonly verdict: 'drop' | 'reject' },
): Promise<Fault> {
  const { verdict } = options;
  return pathFault(lab, path, { ...options, what: `${verdict}s UDP`, rule: { verdict, protocol: 'udp' } });
}

/**
 * IP packets larger than so many bytes disappear without a word. Both gateways' devices then segment before the wire: a packet that
 * stands for many in the memory of one machine would be as large as all of them in the eyes of a rule.
 */
export function dropLarge(
  lab: Lab,
  path: UnderlayPath,
  options: PathOptions & { readonly above: number },
): Promise<Fault> {
  const { above } = options;
  const what = `drops more than ${above} bytes`;
  return together(`${path.join(' ⇄ ')} ${what}`, ...path.map((place) => () => segmented(lab, place)), () =>
    pathFault(lab, path, { ...options, what, rule: { verdict: 'drop', above } }),
  );
}

async function segmented(lab: Lab, place: string): Promise<Fault> {
  const set = (segments: number) => async (): Promise<void> => {
    await lab.place(place).exec(['ip', 'link', 'set', 'eth0', 'gso_max_segs', String(segments)]);
  };
  await set(1)();
  return faultOf(`${place} segments`, set(65_535));
}

/** No packet enters or leaves a site, to the broker either. */
export function isolate(lab: Lab, site: string): Promise<Fault> {
  const place = `${lab.site(site).name}/router`;
  return tableFault(lab, { what: `${site} isolated`, place, family: 'inet', rules: uplinkTable });
}

interface PathFault extends PathOptions {
  readonly what: string;
  readonly rule: Pick<PathRule, 'verdict' | 'percent' | 'above' | 'protocol'>;
}

/** In the first one's router alone, which both directions pass. */
function pathFault(lab: Lab, path: UnderlayPath, fault: PathFault): Promise<Fault> {
  const [from, to] = path.map((place) => underlay(lab, place));
  if (from === undefined || to === undefined || from.site === to.site)
    throw new RangeError(`Cannot break the path between ${path.join(' and ')}: it is no path between sites`);
  const { direction = 'both', rule } = fault;
  const rules: PathRule[] = [];
  if (direction !== 'back') rules.push({ ...rule, from: from.addresses, to: to.addresses });
  if (direction !== 'there') rules.push({ ...rule, from: to.addresses, to: from.addresses });
  const arrow = { both: '⇄', there: '→', back: '←' }[direction];
  return tableFault(lab, {
    what: `${path.join(` ${arrow} `)} ${fault.what}`,
    place: `${from.site}/router`,
    family: 'inet',
    rules: (name) => pathTable(name, rules),
  });
}

function underlay(lab: Lab, place: string): { site: string; addresses: { v4?: string; v6?: string } } {
  const { addresses } = lab.node(place).node;
  const [site = ''] = place.split('/');
  if (lab.site(site).plan.translated || both(addresses).length === 0)
    throw new RangeError(`Cannot break a path of "${place}": its addresses are not those that others see`);
  return { site, addresses };
}
