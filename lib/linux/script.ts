// Changes in, the few steps that make them out, in an order that opens no gap.
// This module is pure.

import { addressKey } from './cascade.ts';
import type { Changes, NftChange, SysctlChange } from './changes.ts';
import { inBoth } from './diff-state.ts';
import {
  addLinkLines,
  addressLine,
  forwardingLine,
  groupLine,
  neighbourLine,
  nexthopLine,
  removeAddressLine,
  removeForwardingLine,
  removeLinkLine,
  removeNeighbourLine,
  removeNexthopLine,
  removeRouteLine,
  routeLine,
  ruleLine,
  setLinkLines,
} from './render-ip.ts';
import type { Link } from './state.ts';

export interface Line {
  readonly text: string;
  /** It is as well if the thing is gone already. */
  readonly forgiving?: true;
  /** It lets packets through: only where the nftables table stands. */
  readonly opens?: true;
}

export type Step =
  /** One `-batch`. `ip6` is `ip -6`, which rules and device-only nexthops need and groups refuse. */
  | { readonly kind: 'ip' | 'ip6' | 'bridge'; readonly lines: readonly Line[] }
  | { readonly kind: 'nft'; readonly change: NftChange }
  /** Userspace WireGuard devices to start. */
  | { readonly kind: 'start'; readonly names: readonly string[] }
  | { readonly kind: 'sysctl'; readonly changes: readonly SysctlChange[] };

/**
 * The order: nftables first, so that nothing is let through unguarded; unreachable routes, and the rules that put them in
 * force, before anything that takes time or may fail; devices with their addresses and neighbours; nexthops, groups,
 * routes. Then removals, in reverse, but for devices, which go first: what came by them meanwhile would be answered where
 * no rule keeps the answer off the uplink any more.
 */
export function script(changes: Changes, wireguard: 'kernel' | 'userspace'): readonly Step[] {
  const steps: Step[] = [
    ...nftStep(changes.nftables, 'early'),
    { kind: 'ip', lines: [...unreachable(changes), ...rulesOf(changes, 4), ...earlyRemovals(changes)] },
    { kind: 'ip6', lines: rulesOf(changes, 6) },
    ...makeLinks(changes, wireguard),
    {
      kind: 'bridge',
      lines: plain([...changes.forwarding.add, ...changed(changes.forwarding)].map(forwardingLine)),
    },
    ...sysctlStep(changes.sysctls, 'wanted'),
    ...additions(changes),
    ...removals(changes),
    ...nftStep(changes.nftables, 'late'),
    ...sysctlStep(changes.sysctls, 'restore'),
  ];
  return merged(steps);
}

function plain(texts: readonly string[]): Line[] {
  return texts.map((text) => ({ text }));
}

function forgiving(texts: readonly string[]): Line[] {
  return texts.map((text) => ({ text, forgiving: true }));
}

function changed<W>(list: { readonly change: readonly { readonly to: W }[] }): W[] {
  return list.change.map(({ to }) => to);
}

function unreachable({ routes }: Changes): Line[] {
  const lines = [...routes.add, ...changed(routes)]
    .filter(({ kind }) => kind === 'unreachable')
    .map(routeLine);
  return plain(lines);
}

function rulesOf({ rules }: Changes, family: 4 | 6): Line[] {
  return plain(rules.add.filter((one) => one.family === family).map((one) => ruleLine('add', one)));
}

/** What stands in the way of something that is made anew. */
function earlyRemovals(changes: Changes): Line[] {
  const links = inBoth<string, { readonly name: string }>(changes.links, ({ name }) => name);
  const addresses = inBoth(changes.addresses, addressKey);
  const ids = madeAnew(changes);
  return forgiving([
    ...[...ids].map((id) => removeNexthopLine({ id })),
    ...changes.addresses.remove.filter((one) => addresses.has(addressKey(one))).map(removeAddressLine),
    ...changes.links.remove.filter(({ name }) => links.has(name)).map(removeLinkLine),
  ]);
}

function madeAnew({ nexthops, groups }: Changes): ReadonlySet<number> {
  const ids = (list: readonly { readonly id: number }[]): number[] => list.map(({ id }) => id);
  return inBoth<number, number>(
    {
      add: [...ids(nexthops.add), ...ids(groups.add)],
      change: [],
      remove: [...ids(nexthops.remove), ...ids(groups.remove)],
    },
    (id) => id,
  );
}

function makeLinks(changes: Changes, wireguard: 'kernel' | 'userspace'): Step[] {
  const started = (link: Link): boolean => link.kind === 'wireguard' && wireguard === 'userspace';
  const names = changes.links.add.filter(started).map(({ name }) => name);
  const lines = [
    ...changes.links.add.flatMap((link) => addLinkLines(link, started(link) ? 'elsewhere' : 'here')),
    ...changed(changes.links).flatMap(setLinkLines),
    ...[...changes.addresses.add, ...changed(changes.addresses)].map(addressLine),
    ...[...changes.neighbours.add, ...changed(changes.neighbours)].map(neighbourLine),
  ];
  return [
    ...(names.length > 0 ? [{ kind: 'start', names } as const] : []),
    { kind: 'ip', lines: plain(lines) },
  ];
}

function additions({ nexthops, groups, routes }: Changes): Step[] {
  const hops = [...nexthops.add, ...changed(nexthops)];
  const ways = [...routes.add, ...changed(routes)].filter(({ kind }) => kind === 'unicast');
  const through = [...[...groups.add, ...changed(groups)].map(groupLine), ...ways.map(routeLine)];
  return [
    { kind: 'ip', lines: plain(hops.filter(({ family }) => family === 4).map(nexthopLine)) },
    { kind: 'ip6', lines: plain(hops.filter(({ family }) => family === 6).map(nexthopLine)) },
    { kind: 'ip', lines: through.map((text) => ({ text, opens: true }) as const) },
  ];
}

function removals(changes: Changes): Step[] {
  const { rules, routes, groups, nexthops } = changes;
  const ids = madeAnew(changes);
  const links = inBoth<string, { readonly name: string }>(changes.links, ({ name }) => name);
  const addresses = inBoth(changes.addresses, addressKey);
  const rule = (family: number): string[] =>
    rules.remove.filter((one) => one.family === family).map((one) => ruleLine('del', one));
  const isOpen = ({ kind }: { readonly kind: string }): boolean => kind === 'unicast';
  const lines = [
    ...rule(4),
    ...routes.remove.filter(isOpen).map(removeRouteLine),
    ...[...groups.remove, ...nexthops.remove].filter(({ id }) => !ids.has(id)).map(removeNexthopLine),
    ...routes.remove.filter((route) => !isOpen(route)).map(removeRouteLine),
    ...changes.neighbours.remove.map(removeNeighbourLine),
    ...changes.addresses.remove.filter((one) => !addresses.has(addressKey(one))).map(removeAddressLine),
  ];
  const devices = changes.links.remove.filter(({ name }) => !links.has(name)).map(removeLinkLine);
  return [
    { kind: 'ip', lines: forgiving(devices) },
    { kind: 'ip6', lines: forgiving(rule(6)) },
    { kind: 'bridge', lines: forgiving(changes.forwarding.remove.map(removeForwardingLine)) },
    { kind: 'ip', lines: forgiving(lines) },
  ];
}

/** Elements that only go, and the whole table, go last; everything else comes first. */
function nftStep(change: NftChange | undefined, when: 'early' | 'late'): Step[] {
  if (change === undefined) return [];
  const goes =
    change.kind === 'delete' || (change.kind === 'elements' && Object.keys(change.add).length === 0);
  return goes === (when === 'late') ? [{ kind: 'nft', change }] : [];
}

function sysctlStep(changes: readonly SysctlChange[], why: SysctlChange['why']): Step[] {
  const mine = changes.filter((change) => change.why === why);
  return mine.length > 0 ? [{ kind: 'sysctl', changes: mine }] : [];
}

/** Drops empty batches and joins neighbours of one kind: each step is a process. */
function merged(steps: readonly Step[]): Step[] {
  const result: Step[] = [];
  for (const step of steps) {
    const last = result.at(-1);
    if (!('lines' in step)) result.push(step);
    else if (step.lines.length === 0) continue;
    else if (last !== undefined && 'lines' in last && last.kind === step.kind)
      result[result.length - 1] = { kind: step.kind, lines: [...last.lines, ...step.lines] };
    else result.push(step);
  }
  return result;
}
