// What the plan needs to know of this machine, read from the kernel.

import * as v from 'valibot';
import { parseAddress } from '#lib/ip';
import type { Address, Family } from '#lib/ip';
import { isOurDevice } from '#lib/linux';
import type { Command, Run } from '#lib/linux';
import type { Host, Node } from '#topology';

/** The part of {@link Host} that the machine itself knows. */
export type HostFacts = Pick<Host, 'uplink' | 'families' | 'addresses'>;

const Links = v.array(
  v.object({
    ifname: v.string(),
    mtu: v.optional(v.number(), 0),
    addr_info: v.optional(v.array(v.object({ local: v.optional(v.string()) })), []),
  }),
);
const Routes = v.array(v.object({ dev: v.optional(v.string(), ''), protocol: v.optional(v.string(), '') }));

type Link = Readonly<{ device: string; mtu: number; addresses: readonly Address[] }>;

/**
 * The device that carries the node's address, its MTU (not above the one that packets leave the site by), and the
 * addresses that others than us have put on this host.
 * @throws {Error} when the host has none of the node's addresses
 */
export async function readFacts(run: Run, node: Node): Promise<HostFacts> {
  const families = await readFamilies(run);
  const links = await readLinks(run);
  const uplink = links.find(({ addresses }) => node.addresses.some((own) => addresses.includes(own)));
  if (uplink === undefined) {
    throw new Error(
      `Cannot act as node "${node.name}": this host has none of its addresses ${node.addresses.join(', ')}. Correct nodes[].addresses in site.yaml, or say by --node which node this is`,
    );
  }
  const defaults = (await Promise.all(families.map((family) => readDefaults(run, family)))).flat();
  const outer = links.filter(({ device }) => defaults.some(({ dev }) => dev === device));
  const hasAdvertised = defaults.some(({ dev, protocol }) => dev === uplink.device && protocol === 'ra');
  const advertised = hasAdvertised && (await heedsAdvertisements(run, uplink.device));
  return {
    uplink: { device: uplink.device, mtu: Math.min(uplink.mtu, ...outer.map(({ mtu }) => mtu)), advertised },
    families,
    addresses: links.flatMap(({ addresses }) => addresses),
  };
}

/** Milliseconds that facts count: not every cause of a change is one that monitors tell of, such as another default route. */
const FRESH_MS = 30_000;

/** Reads facts when they may be others than before. */
export class FactsReader {
  readonly #run: Run;
  readonly #now: () => number;
  #known: { readonly addresses: string; readonly until: number; readonly facts: HostFacts } | undefined;
  #forgotten = 0;

  /** `now`: milliseconds on a monotonic clock. */
  constructor(run: Run, now: () => number = () => performance.now()) {
    this.#run = run;
    this.#now = now;
  }

  /** Throws as {@link readFacts} does. */
  async read(node: Node): Promise<HostFacts> {
    const addresses = node.addresses.join(' ');
    const known = this.#known;
    if (known?.addresses === addresses && this.#now() < known.until) return known.facts;
    const forgotten = this.#forgotten;
    const until = this.#now() + FRESH_MS;
    const facts = await readFacts(this.#run, node);
    // What changed while they were read may be missing in them.
    if (forgotten === this.#forgotten) this.#known = { addresses, until, facts };
    return facts;
  }

  /** A link or address has changed. */
  forget(): void {
    this.#forgotten += 1;
    this.#known = undefined;
  }
}

/** Other people's devices. Loopback is among them: an address there is the host's as well. */
async function readLinks(run: Run): Promise<Link[]> {
  const links = v.parse(Links, await json(run, ['ip', '-json', 'address', 'show']));
  return links
    .filter(({ ifname }) => !isOurDevice(ifname))
    .map(({ ifname, mtu, addr_info }) => ({
      device: ifname,
      mtu,
      addresses: addr_info.flatMap(({ local }) => (local === undefined ? [] : parseAddress(local))),
    }));
}

async function readFamilies(run: Run): Promise<Family[]> {
  return (await readSysctl(run, 'net/ipv6/conf/all/disable_ipv6')) === '0' ? [4, 6] : [4];
}

/** Empty where the kernel has no such key. Only that: a sysctl that did not run would cost the host its IPv6 guards. */
async function readSysctl(run: Run, key: string): Promise<string> {
  return (await run({ argv: ['sysctl', '-e', '-n', key] })).trim();
}

/** False where the kernel leaves advertisements to somebody else: systemd-networkd's routes are marked "ra" as well. */
async function heedsAdvertisements(run: Run, device: string): Promise<boolean> {
  return !['', '0'].includes(await readSysctl(run, `net/ipv6/conf/${device}/accept_ra`));
}

/** Default routes of the main table. */
async function readDefaults(run: Run, family: Family): Promise<v.InferOutput<typeof Routes>> {
  return v.parse(Routes, await json(run, ['ip', `-${family}`, '-json', 'route', 'show', 'default']));
}

async function json(run: Run, argv: Command['argv']): Promise<unknown> {
  const text = await run({ argv });
  return JSON.parse(text.trim() === '' ? '[]' : text);
}
