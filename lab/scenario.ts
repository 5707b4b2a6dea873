// What a lab is made from: one YAML document, checked, with every default filled in.
// This module is pure.

import { MAX_GATEWAYS, MAX_LANES, WIREGUARD_BASE_PORT, WIREGUARD_PORTS } from '#lib/constants';
import * as v from 'valibot';
import { isMap, parseDocument } from 'yaml';

const label = v.pipe(
  v.string(),
  v.regex(
    /^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$/,
    'is not a label of at most 15 lower case letters, digits and hyphens',
  ),
);
const count = (least: number, most: number, standard: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most)), standard);
const families = v.optional(v.picklist(['v4', 'v6', 'dual']), 'dual');

const siteSchema = v.strictObject({
  gateways: count(1, MAX_GATEWAYS, 2),
  workers: count(0, 99, 2),
  podsPerWorker: count(0, 20, 2),
  podsPerGateway: count(0, 20, 0),
  /** Processes in the host network: the first on worker-1 (on gw-0 where there is no worker), the next on the next node. */
  hostProcesses: count(0, 8, 1),
  pods: families,
  /** Addresses of nodes and of the site's way to the internet. */
  underlay: families,
  lanes: count(1, MAX_LANES, 1),
  link: v.optional(v.picklist(['direct', 'vxlan']), 'direct'),
  listenPort: count(1024, 65_536 - WIREGUARD_PORTS, WIREGUARD_BASE_PORT),
  /** `forward`: the router translates, and forwards each gateway's ports. `dial-out`: it translates and lets nothing in. */
  nat: v.optional(v.picklist(['none', 'forward', 'dial-out']), 'none'),
  /** Nodes drop what conntrack calls invalid and masquerade what leaves the cluster, as kube-proxy and a CNI do. */
  kubeProxy: v.optional(v.boolean(), true),
  /** Bytes, on the site's own network. */
  mtu: count(576, 65535, 1500),
  /** Bytes, between the site's router and the internet. */
  uplinkMtu: count(576, 65535, 1500),
  /** The n in pod CIDRs 10.n.0.0/16 and fd10:n::/32; by default the site's place in the document. */
  podNetwork: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(255))),
});

const scenarioSchema = v.strictObject({
  name: v.optional(label, 'lab'),
  internet: v.optional(
    v.strictObject({
      /** Megabits a second that the internet lets each UDP flow (5-tuple, each direction) have; 0 is no cap. */
      flowMbps: v.optional(v.pipe(v.number(), v.minValue(0)), 0),
    }),
    {},
  ),
  sites: v.record(label, v.optional(siteSchema, {})),
});

/** One site as the scenario describes it, defaults filled in. Counts are nodes, pods and processes; MTUs are bytes. */
export type SiteScenario = v.InferOutput<typeof siteSchema>;
/** A whole lab. Sites keep the document's order. */
export type Scenario = v.InferOutput<typeof scenarioSchema>;
/** The same with defaults left out, for scenarios written in code. */
export type ScenarioInput = v.InferInput<typeof scenarioSchema>;

/** Places of the lab's own, and what the kernel calls devices of its own: the internet's end of a site's line is called as the site is. */
const RESERVED = new Set(['internet', 'broker', 'lo', 'all', 'default']);

/**
 * Checks a scenario that was made in code.
 * @throws {SyntaxError} naming each field that is wrong
 */
export function checkScenario(input: unknown, from = 'scenario'): Scenario {
  const result = v.safeParse(scenarioSchema, input);
  if (!result.success) {
    const faults = result.issues.map((issue) => `${v.getDotPath(issue) ?? 'the document'}: ${issue.message}`);
    throw new SyntaxError(`Cannot read "${from}": ${faults.join('; ')}`);
  }
  const names = Object.keys(result.output.sites);
  const taken = names.find((name) => RESERVED.has(name));
  if (taken !== undefined) throw new SyntaxError(`Cannot read "${from}": no site can be called "${taken}"`);
  if (names.length === 0 || names.length > 200)
    throw new SyntaxError(`Cannot read "${from}": ${names.length} sites, where 1 to 200 can be built`);
  return result.output;
}

/** @throws {SyntaxError} with the file and what is wrong in it */
export function parseScenario(text: string, from: string): Scenario {
  const document = parseDocument(text);
  const fault = document.errors[0];
  if (fault !== undefined) throw new SyntaxError(`Cannot read "${from}": ${fault.message}`);
  if (!isMap(document.contents)) throw new SyntaxError(`Cannot read "${from}": it is not a YAML mapping`);
  return checkScenario(withEmptySites(document.toJS()), from);
}

/** `east:` with nothing after it is a site with every default; YAML reads null there. */
function withEmptySites(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('sites' in value)) return value;
  const { sites } = value;
  if (typeof sites !== 'object' || sites === null) return value;
  return {
    ...value,
    sites: Object.fromEntries(Object.entries(sites).map(([name, site]) => [name, site ?? {}])),
  };
}
