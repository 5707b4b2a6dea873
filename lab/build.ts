// Makes a layout's namespaces, wires and addresses.

import { runCommand, type Run } from '#lib/linux';
import { NETNS, netnsName, type Home } from './home.ts';
import type { LabNode, LabSite, Layout, Place, Wire } from './layout.ts';
import { startHolder } from './holder.ts';
import { placeText, type PlaceText } from './place-text.ts';

export interface BuildOptions {
  readonly home: Home;
  readonly layout: Layout;
  readonly signal?: AbortSignal;
  /** @default runCommand */
  readonly run?: Run;
}

/** Places that are configured at once: more only wait for the kernel's network lock. */
const AT_ONCE = 4;

/**
 * Builds everything that lies below the product. Each namespace costs one shell; nothing is ever made in, or passes through,
 * the namespace that this process is in.
 */
export async function build(options: BuildOptions): Promise<void> {
  const { home, layout, signal, run = runCommand } = options;
  const quick: Run = (command) => run({ ...command, timeoutMs: 20_000, ...(signal && { signal }) });
  const names = layout.places.map((place) => netnsName(home.lab, place.name));
  await quick({ argv: ['ip', '-batch', '-'], input: names.map((name) => `netns add ${name}\n`).join('') });
  await quick({
    argv: ['ip', '-batch', '-'],
    input: layout.wires.map((wire, at) => wireLine(home.lab, wire, at)).join(''),
  });
  await eachOf(layout.places, (place) => configure(quick, home, layout, place));
  const nodes = layout.sites.flatMap((site) => site.nodes.map((node) => ({ site, node })));
  await eachOf(nodes, ({ site, node }: { site: LabSite; node: LabNode }) =>
    startHolder({ home, place: node.place, hostname: node.name, site: site.name, role: node.role }),
  );
  await startHolder({ home, place: 'broker', hostname: 'broker', role: 'broker' });
}

/**
 * Interface numbers are given, and differ between the two ends: the kernel tells the carrier of a device at once only where the number
 * of its other end is not its own, and otherwise up to a second later.
 */
function wireLine(lab: string, wire: Wire, at: number): string {
  const [a, b] = wire.ends;
  const end = (each: typeof a, index: number): string =>
    `name ${each.device} index ${index} netns ${netnsName(lab, each.place)} mtu ${wire.mtu}`;
  return `link add ${end(a, 1000 + at)} type veth peer ${end(b, 3000 + at)}\n`;
}

async function configure(run: Run, home: Home, layout: Layout, place: Place): Promise<void> {
  const devices = layout.wires.flatMap((wire) => wire.ends.filter((end) => end.place === place.name));
  const names = devices.map((end) => `link set ${end.device} alias lab-${home.lab}`);
  await run({
    argv: ['nsenter', `--net=${NETNS}/${netnsName(home.lab, place.name)}`, 'sh', '-s'],
    input: shellText(placeText(layout, place), names),
  });
}

function shellText(text: PlaceText, names: readonly string[]): string {
  // A device that exists already has copied the defaults of before: patterns reach it as well.
  const sysctls = text.sysctls.map(
    ([key, value]) => `for f in /proc/sys/net/${key}; do [ ! -e $f ] || echo ${value} > $f; done`,
  );
  const ip = ["ip -batch - <<'END'", ...names, ...text.ip, 'END'];
  const nft = text.nft === '' ? [] : ["nft -f - <<'END'", text.nft, 'END'];
  const tc = text.tc === undefined || text.tc.length === 0 ? [] : ["tc -batch - <<'END'", ...text.tc, 'END'];
  return ['set -e', ...sysctls, ...ip, ...nft, ...tc, ''].join('\n');
}

/** A failure is thrown once nothing is under way any more: what comes next may be the removal of all this. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  let isFailed = false;
  const worker = async (): Promise<void> => {
    for (const item of rest) {
      if (isFailed) return;
      await work(item).catch((error: unknown) => {
        isFailed = true;
        throw error;
      });
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
