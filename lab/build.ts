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
    input: layout.wires.map((wire) => wireLine(home.lab, wire)).join(''),
  });
  await eachOf(layout.places, (place) => configure(quick, home, layout, place));
  const nodes = layout.sites.flatMap((site) => site.nodes.map((node) => ({ site, node })));
  await eachOf(nodes, ({ site, node }: { site: LabSite; node: LabNode }) =>
    startHolder({ home, place: node.place, hostname: node.name, site: site.name, role: node.role }),
  );
  await startHolder({ home, place: 'broker', hostname: 'broker', role: 'broker' });
}

function wireLine(lab: string, wire: Wire): string {
  const [a, b] = wire.ends;
  const end = (each: typeof a): string => `netns ${netnsName(lab, each.place)} mtu ${wire.mtu}`;
  return `link add name ${a.device} ${end(a)} type veth peer name ${b.device} ${end(b)}\n`;
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
  const sysctls = text.sysctls.map(([key, value]) => {
    const file = `/proc/sys/net/${key}`;
    return `[ ! -e ${file} ] || echo ${value} > ${file}`;
  });
  const ip = ["ip -batch - <<'END'", ...names, ...text.ip, 'END'];
  const nft = text.nft === '' ? [] : ["nft -f - <<'END'", text.nft, 'END'];
  return ['set -e', ...sysctls, ...ip, ...nft, ''].join('\n');
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
