import * as fc from 'fast-check';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { readFileSync, writeFileSync } from 'node:fs';
import { METRIC_GROUP, METRIC_SIBLING, TABLE_HERE, WIREGUARD_BASE_PORT } from '#lib/constants';
import { contains, familyOf, isCidr4, isCidr6, overlaps, parseAddress, parseCidr, sorted } from '#lib/ip';
import type { Address } from '#lib/ip';
import type { NetworkState, Route } from '#lib/linux';
import { parseClusterId } from '#lib/names';
import type { PeerConfig, PublicKey } from '#lib/wireguard';
import { fabricAddress, lanePrefix, ordinalPrefix, peerPrefix } from './fabric.ts';
import type { TunnelId } from './tunnel-id.ts';
import type { FabricPrefixes, Fleet, Host, Node, OwnCluster, RemoteCluster } from './fleet.ts';
import type { DevicePlan, HostPlan, TunnelPlan } from './host-plan.ts';
import {
  clusterOf,
  clustersTable,
  createPlanner,
  gatewaysTable,
  mapTree,
  plan,
  healthText,
  parseHealth,
  renderPlan,
  responderAddress,
  routesTable,
  tunnelsTable,
} from './mod.ts';
import type { Tree } from './mod.ts';
import { mtuOfNexthop, siblingNexthop, slotOfNexthop, tunnelNexthop } from './nexthops.ts';
import { isGateway } from './standpoint.ts';

// ---- a small world -----------------------------------------------------------------------------------------------

const FABRIC: FabricPrefixes = fabric('100.64.0.0/10', 'fdfa:bfab:1::/48');

function fabric(v4: string, v6: string): FabricPrefixes {
  const [four, six] = [parseCidr(v4), parseCidr(v6)];
  if (!isCidr4(four) || !isCidr6(six)) throw new TypeError('not one of each family');
  return { v4: four, v6: six };
}

/** Readable keys: nothing here looks inside. */
function key(text: string): PublicKey;
function key(text: string): string {
  return text;
}

type Site = OwnCluster;

/** East: public gateways and shared links; a gateway without pods. */
const EAST: Site = {
  id: parseClusterId('east'),
  index: 1,
  podCidrs: ['10.1.0.0/16', 'fd10:1::/32'].map((text) => parseCidr(text)),
  serviceCidrs: ['10.101.0.0/16'].map((text) => parseCidr(text)),
  lanes: 2,
  listenPort: WIREGUARD_BASE_PORT,
  link: 'direct',
  nodes: [
    node('gw-0', 0, ['203.0.113.10', '2001:db8:1::10'], ['10.1.10.0/24', 'fd10:1:10::/64']),
    node('gw-1', 1, ['203.0.113.11', '2001:db8:1::11'], ['10.1.11.0/24', 'fd10:1:11::/64']),
    node('worker-1', undefined, ['203.0.113.101', '2001:db8:1::101'], ['10.1.1.0/24', 'fd10:1:1::/64']),
    node('worker-2', undefined, ['203.0.113.102', '2001:db8:1::102'], ['10.1.2.0/24', 'fd10:1:2::/64']),
  ],
};

/** West: a cloud that drops foreign addresses on the link; its gateways stand behind one address that forwards ports. */
const WEST: Site = {
  id: parseClusterId('west'),
  index: 2,
  podCidrs: ['10.2.0.0/16', 'fd10:2::/32'].map((text) => parseCidr(text)),
  serviceCidrs: ['10.102.0.0/16'].map((text) => parseCidr(text)),
  lanes: 2,
  listenPort: WIREGUARD_BASE_PORT,
  link: 'vxlan',
  nodes: [
    behind(node('gw-0', 0, ['192.168.2.10'], ['10.2.10.0/24', 'fd10:2:10::/64']), '198.51.100.2', 51820),
    behind(node('gw-1', 1, ['192.168.2.11'], ['10.2.11.0/24', 'fd10:2:11::/64']), '198.51.100.2', 51884),
    node('worker-1', undefined, ['192.168.2.101'], ['10.2.1.0/24', 'fd10:2:1::/64']),
    node('worker-2', undefined, ['192.168.2.102'], ['10.2.2.0/24', 'fd10:2:2::/64']),
  ],
};

/** Edge: one gateway that can only dial out, one lane, IPv4 pods. */
const EDGE: Site = {
  id: parseClusterId('edge'),
  index: 300,
  podCidrs: ['10.3.0.0/16'].map((text) => parseCidr(text)),
  serviceCidrs: [],
  lanes: 1,
  listenPort: WIREGUARD_BASE_PORT,
  link: 'vxlan',
  nodes: [
    dialOut(node('gw-0', 0, ['192.168.3.10'], ['10.3.10.0/24'])),
    node('worker-1', undefined, ['192.168.3.101'], ['10.3.1.0/24']),
  ],
};

/** Outpost: one more that can only dial out. */
const OUTPOST: Site = {
  ...EDGE,
  id: parseClusterId('outpost'),
  index: 4,
  podCidrs: ['10.4.0.0/16'].map((text) => parseCidr(text)),
  nodes: [dialOut(node('gw-0', 0, ['192.168.4.10'], []))],
};

function node(name: string, ordinal: number | undefined, addresses: string[], pods: string[]): Node {
  const common = {
    name,
    addresses: addresses.map((text) => parseAddress(text)),
    podCidrs: pods.map((text) => parseCidr(text)),
  };
  if (ordinal === undefined) return { ...common, role: 'worker' };
  const endpoint = { addresses: common.addresses, port: WIREGUARD_BASE_PORT };
  return { ...common, role: 'gateway', ordinal, endpoint };
}

function behind(gateway: Node, address: string, port: number): Node {
  return { ...gateway, endpoint: { addresses: [parseAddress(address)], port } };
}

function dialOut({ name, role, ordinal, addresses, podCidrs }: Node): Node {
  return { name, role, addresses, podCidrs, ...(ordinal === undefined ? {} : { ordinal }) };
}

/** What others know of a site. */
function remoteOf({ id, index, podCidrs, serviceCidrs, lanes, nodes }: Site): RemoteCluster {
  const gateways = nodes.filter(isGateway).map(({ ordinal, endpoint }) => ({
    ordinal,
    keys: Array.from({ length: lanes }, (_, lane) => key(`${id}-${ordinal}-${lane}`)),
    ...(endpoint === undefined ? {} : { endpoint }),
  }));
  return { id, index, podCidrs, serviceCidrs, gateways };
}

function fleetOf(own: Site, others: readonly Site[]): Fleet {
  const remotes = others.map(remoteOf).sort((a, b) => (a.id < b.id ? -1 : 1));
  return { fabric: FABRIC, own, remotes };
}

function tunnelsOf({ remotes }: Pick<Fleet, 'remotes'>): TunnelId[] {
  return remotes.flatMap(({ id, gateways }) =>
    gateways.flatMap(({ ordinal, keys }) => keys.map((_, lane): TunnelId => `${id}/${ordinal}#${lane}`)),
  );
}

/** A host with its own addresses and those of its pods' bridge, all of whose tunnels answer. */
function hostOf(fleet: Fleet, name: string, facts: Partial<Host> = {}): Host {
  const self = fleet.own.nodes.find((each) => each.name === name);
  return {
    node: name,
    uplink: { device: 'eth0', mtu: 1500 },
    resilient: true,
    healthy: new Set(tunnelsOf(fleet)),
    addresses: self?.addresses ?? [],
    ...facts,
  };
}

function planOf(own: Site, others: readonly Site[], name: string, facts: Partial<Host> = {}): HostPlan {
  const fleet = fleetOf(own, others);
  return plan(fleet, hostOf(fleet, name, facts));
}

// ---- golden pages ------------------------------------------------------------------------------------------------

/** Written anew with GOLDEN=write, and then read by whoever changed them. */
function assertGolden(t: ExecutionContext, name: string, text: string): void {
  const file = new URL(`golden/${name}.txt`, import.meta.url);
  if (process.env['GOLDEN'] === 'write') writeFileSync(file, text);
  t.is(text, readFileSync(file, 'utf8'));
}

const WORLD = [EAST, WEST, EDGE];
const BRIDGE = { addresses: ['203.0.113.10', '10.1.10.1', 'fd10:1:10::1'].map((text) => parseAddress(text)) };

for (const [page, own, name, facts] of [
  ['east-gw-0', EAST, 'gw-0', BRIDGE],
  ['east-worker-1', EAST, 'worker-1', {}],
  ['west-gw-1', WEST, 'gw-1', {}],
  ['west-worker-1', WEST, 'worker-1', {}],
  ['edge-gw-0', EDGE, 'gw-0', {}],
] as const) {
  test(`plan() as seen from ${page}`, (t) => {
    const others = WORLD.filter((site) => site !== own);
    assertGolden(t, page, renderPlan(planOf(own, others, name, facts)));
  });
}

test('clustersTable(), gatewaysTable(), tunnelsTable(), routesTable() show what the plan is made of', (t) => {
  const fleet = fleetOf(EAST, [WEST, EDGE]);
  const host = hostOf(fleet, 'gw-0', { ...BRIDGE, healthy: new Set<TunnelId>(['west/0#0']) });
  const seen = plan(fleet, host);
  const page = (title: string, rows: readonly object[]): string =>
    [`# ${title}`, ...rows.map((row) => JSON.stringify(row)), ''].join('\n');
  const pages = [
    page('clusters', clustersTable(fleet)),
    page('gateways', gatewaysTable(fleet)),
    page('tunnels', tunnelsTable(seen)),
    page('routes', routesTable(seen)),
  ];
  assertGolden(t, 'show', pages.join('\n'));
  t.deepEqual(tunnelsTable(planOf(EAST, [WEST], 'worker-1')), []);
});

test('mapTree() shows every cluster, its gateways and the tunnels there can be', (t) => {
  const draw = ({ label, children }: Tree): string[] => [
    label,
    ...children.flatMap(draw).map((line) => `  ${line}`),
  ];
  t.deepEqual(draw(mapTree(fleetOf(EDGE, [WEST, OUTPOST]))), [
    'edge  index 300  10.3.0.0/16  (here)',
    '  gateway 0  dials out only  gw-0',
    '  worker  worker-1',
    '  outpost  index 4  10.4.0.0/16',
    '    gateway 0  dials out only  no direct path: neither side can dial',
    '  west  index 2  10.2.0.0/16 fd10:2::/32',
    '    gateway 0  198.51.100.2:51820  1 lane from 0',
    '    gateway 1  198.51.100.2:51884  1 lane from 0',
  ]);
});

// ---- fabric ------------------------------------------------------------------------------------------------------

test('fabricAddress() puts ordinal, lane, index and node in the design’s bit order', (t) => {
  const spot = { ordinal: 5, lane: 3, index: 200, node: 7 };
  t.is(fabricAddress(FABRIC, 4, spot), parseAddress(`100.${64 + 8 * 5 + 3}.200.7`));
  const group = ((5 << 13) | (3 << 10) | 200).toString(16);
  t.is(fabricAddress(FABRIC, 6, spot), parseAddress(`fdfa:bfab:1:${group}::7`));
  t.is(fabricAddress(FABRIC, 4, { ...spot, index: 256 }), undefined);
  t.is(fabricAddress(FABRIC, 6, { ...spot, index: 1023 }), parseAddress('fdfa:bfab:1:afff::7'));
});

test('fabricAddress() gives no address twice, and each lies in its peer’s, interface’s and gateway’s prefix', (t) => {
  const spots = fc.record({
    ordinal: fc.nat(7),
    lane: fc.nat(7),
    index: fc.integer({ min: 1, max: 255 }),
    node: fc.nat(3),
  });
  const holds = fc.property(spots, spots, fc.constantFrom<4 | 6>(4, 6), (a, b, family) => {
    const [one, other] = [fabricAddress(FABRIC, family, a), fabricAddress(FABRIC, family, b)];
    const gateway = fabricAddress(FABRIC, family, { ...a, node: 0 });
    if (one === undefined || gateway === undefined) throw new Error('no address');
    t.is(one === other, JSON.stringify(a) === JSON.stringify(b));
    t.true(contains(peerPrefix(gateway), one));
    t.true(contains(lanePrefix(FABRIC, family, a), one));
    t.true(contains(ordinalPrefix(FABRIC, family, a.ordinal), one));
  });
  fc.assert(holds, { seed: 73, numRuns: 200 });
});

// ---- rules for every plan ----------------------------------------------------------------------------------------

const LINKS = ['direct', 'vxlan'] as const;

/** Sites with one to four gateways, any lanes, families and endpoints; their CIDRs follow from their index, or clash. */
const anySite = (id: string, index: number): fc.Arbitrary<Site> =>
  fc
    .record({
      gateways: fc.uniqueArray(fc.nat(7), { minLength: 1, maxLength: 4 }),
      workers: fc.nat(4),
      lanes: fc.integer({ min: 1, max: 8 }),
      link: fc.constantFrom(...LINKS),
      pods: fc.constantFrom('4', '6', '46'),
      underlay: fc.constantFrom('4', '6', '46'),
      endpoint: fc.constantFrom('none', 'own', 'nat'),
      services: fc.boolean(),
      far: fc.boolean(),
    })
    .map(({ gateways, workers, lanes, link, pods, underlay, endpoint, services, far }) => {
      const cidrs = (four: string, six: string): string[] => [
        ...(pods.includes('4') ? [four] : []),
        ...(pods.includes('6') ? [six] : []),
      ];
      const addresses = (n: number): string[] => [
        ...(underlay.includes('4') ? [`192.168.${index}.${n}`] : []),
        ...(underlay.includes('6') ? [`2001:db8:${index}::${n}`] : []),
      ];
      const make = (name: string, ordinal: number | undefined, n: number): Node => {
        const made = node(
          name,
          ordinal,
          addresses(n),
          cidrs(`10.${index}.${n}.0/24`, `fd10:${index}:${n}::/64`),
        );
        if (ordinal === undefined || endpoint === 'own') return made;
        return endpoint === 'none' ? dialOut(made) : behind(made, `203.0.113.${index}`, 51820 + 64 * ordinal);
      };
      return {
        id: parseClusterId(id),
        index: far ? index + 500 : index,
        podCidrs: cidrs(`10.${index}.0.0/16`, `fd10:${index}::/32`).map((text) => parseCidr(text)),
        serviceCidrs: services ? [parseCidr('10.96.0.0/12')] : [],
        lanes,
        listenPort: WIREGUARD_BASE_PORT + index,
        link,
        nodes: [
          ...gateways.map((ordinal) => make(`gw-${ordinal}`, ordinal, 10 + ordinal)),
          ...Array.from({ length: workers }, (_, at) => make(`worker-${at}`, undefined, 100 + at)),
        ],
      };
    });

interface View {
  readonly fleet: Fleet;
  readonly host: Host;
}

const anyWorld: fc.Arbitrary<readonly Site[]> = fc
  .tuple(anySite('a', 1), anySite('b', 2), anySite('c', 3), anySite('d', 4), anySite('z', 5))
  .chain(([a, b, c, d, e]) =>
    fc
      .record({ clash: fc.constantFrom<Site[]>([], [{ ...e, index: 9, podCidrs: b.podCidrs }], [e]) })
      .map(({ clash }) => [a, b, c, d, ...clash]),
  );

/** One node of the first site, some of whose tunnels answer. */
const anyView: fc.Arbitrary<View> = fc
  .tuple(anyWorld, fc.nat(), fc.infiniteStream(fc.boolean()), fc.boolean())
  .map(([sites, pick, answers, resilient]) => {
    const [own, ...others] = sites;
    if (own === undefined) throw new Error('no site');
    const fleet = fleetOf(own, others);
    const name = own.nodes[pick % own.nodes.length]?.name ?? '';
    const healthy = new Set(tunnelsOf(fleet).filter(() => answers.next().value === true));
    const far = { ...(answers.next().value === true && knownOf(fleet, () => answers.next().value === true)) };
    return { fleet, host: hostOf(fleet, name, { healthy, resilient, ...far }) };
  });

/** What probes have found of rooms and of other gateways; `coin` decides. */
function knownOf({ own, remotes }: Fleet, coin: () => boolean): Pick<Host, 'room' | 'gateways'> {
  const tunnels = tunnelsOf({ remotes }).filter(coin);
  const ordinals = own.nodes.flatMap(({ ordinal = [] }) => ordinal).filter(coin);
  return {
    room: new Map(tunnels.map((id) => [id, coin() ? 1280 : 1312])),
    gateways: new Map(
      ordinals.map((ordinal) => [ordinal, new Set(remotes.filter(coin).map(({ index }) => index))]),
    ),
  };
}

function forEveryPlan(check: (plan: HostPlan, view: View) => void): void {
  const property = fc.property(anyView, (view) => check(plan(view.fleet, view.host), view));
  fc.assert(property, { seed: 73, numRuns: 150 });
}

const routesIn = ({ routes }: NetworkState, table: number): Route[] =>
  routes.filter((route) => route.table === table);

test('plan() guards every remote CIDR that nobody stronger has', (t) => {
  forEveryPlan(({ network, remoteCidrs }, { fleet: { own, remotes } }) => {
    const guarded = new Set(
      routesIn(network, TABLE_HERE)
        .filter(({ kind }) => kind === 'unreachable')
        .map(({ destination }) => destination),
    );
    for (const cidr of remoteCidrs) t.true(guarded.has(cidr));
    for (const cidr of remotes.flatMap(({ podCidrs }) => podCidrs)) t.true(guarded.has(cidr));
    for (const cidr of guarded)
      t.false([...own.podCidrs, ...own.serviceCidrs].some((each) => overlaps(each, cidr)));
  });
});

test('plan() gives no CIDR and no key to two peers of one device', (t) => {
  forEveryPlan(({ devices }) => {
    for (const { peers } of devices) {
      const cidrs = peers.flatMap(({ allowedIps }) => allowedIps);
      t.deepEqual(
        cidrs.filter((cidr, at) => cidrs.some((other, after) => after > at && overlaps(cidr, other))),
        [],
      );
      t.is(new Set(peers.map(({ publicKey }) => publicKey)).size, peers.length);
    }
  });
});

test('plan() refers to nothing that it does not make', (t) => {
  forEveryPlan(({ network, devices, tunnels }, { host }) => {
    const links = new Set([...network.links.map(({ name }) => name), host.uplink.device]);
    const nexthops = new Set(network.nexthops.map(({ id }) => id));
    const targets = new Set([...nexthops, ...network.groups.map(({ id }) => id)]);
    for (const { members } of network.groups) {
      t.true(members.length > 0);
      t.true(members.every((member) => nexthops.has(member)));
    }
    for (const { nexthop, device } of network.routes) {
      if (nexthop !== undefined) t.true(targets.has(nexthop));
      if (device !== undefined) t.true(links.has(device));
    }
    for (const { device, peer } of tunnels) {
      const peers = devices.find(({ name }) => name === device)?.peers ?? [];
      t.true(peers.some(({ publicKey }) => publicKey === peer));
    }
    for (const { device } of [...network.nexthops, ...network.addresses, ...network.neighbours, ...tunnels]) {
      t.true(links.has(device));
    }
    t.deepEqual(
      devices.map(({ name }) => name),
      network.links.filter(({ kind }) => kind === 'wireguard').map(({ name }) => name),
    );
  });
});

test('plan() says nothing twice', (t) => {
  forEveryPlan(({ network, tunnels, conditions }) => {
    const { links, addresses, neighbours, nexthops, groups, routes, rules } = network;
    const once = (names: readonly (string | number)[]): boolean => t.is(new Set(names).size, names.length);
    once(links.map(({ name }) => name));
    once(addresses.map(({ device, address }) => `${device} ${address}`));
    once(neighbours.map(({ device, address }) => `${device} ${address}`));
    once([...nexthops, ...groups].map(({ id }) => id));
    once(routes.map(({ table, destination, metric }) => `${table} ${destination} ${metric}`));
    once(rules.map((rule) => JSON.stringify(rule)));
    once(tunnels.map(({ id }) => id));
    once(conditions.map(({ code, about }) => `${code} ${about}`));
  });
});

test('plan() keeps route MTUs below WireGuard’s at multiples of 16, and IPv4 and IPv6 apart', (t) => {
  forEveryPlan(({ network }) => {
    const family = new Map(network.nexthops.map((nexthop) => [nexthop.id, nexthop.family]));
    for (const { id, members } of network.groups) {
      const families = new Set(members.map((member) => family.get(member)));
      t.is(families.size, 1);
      family.set(id, [...families][0] ?? 4);
    }
    for (const { destination, nexthop, via, source, mtu } of network.routes) {
      const own = familyOf(destination);
      if (nexthop !== undefined) t.is(family.get(nexthop), own);
      for (const address of [via, source]) if (address !== undefined) t.is(familyOf(address), own);
      if (mtu !== undefined) t.true(mtu % 16 === 0 || mtu === 1440 || mtu === 1420, `${mtu}`);
    }
  });
});

test('plan() leads routes of different MTUs by different nexthop objects', (t) => {
  forEveryPlan(({ network }) => {
    const members = new Map(network.groups.map((group) => [group.id, group.members]));
    const seen = new Map<number, number | undefined>();
    for (const { nexthop, mtu } of network.routes) {
      const ids = nexthop === undefined ? [] : (members.get(nexthop) ?? [nexthop]);
      for (const id of ids) t.is(seen.has(id) ? seen.get(id) : mtu, mtu, `${id}`);
      for (const id of ids) seen.set(id, mtu);
    }
  });
});

test('slotOfNexthop() and mtuOfNexthop() find again what a tunnel’s nexthop was made of', (t) => {
  const slot = fc.nat(63);
  const mtu = fc.option(
    fc.nat(577).map((each) => each * 16),
    { nil: undefined },
  );
  const back = fc.property(fc.constantFrom(4 as const, 6 as const), slot, mtu, (family, from, size) => {
    const id = tunnelNexthop(family, from, size);
    t.deepEqual([slotOfNexthop(id), mtuOfNexthop(id)], [from, size]);
  });
  fc.assert(back, { seed: 73 });
});

test('plan() makes both ends of a tunnel agree', (t) => {
  // Without the fifth, which clashes: each of two clusters that clash thinks itself right.
  const worlds = anyWorld.map((sites) => sites.slice(0, 4));
  const views = fc.property(worlds, (sites) => {
    for (const near of sites) for (const far of sites) if (near.id < far.id) agree(t, sites, near, far);
  });
  fc.assert(views, { seed: 73, numRuns: 15 });
});

const sharePods = (a: Site, b: Site): boolean =>
  a.podCidrs.some((one) => b.podCidrs.some((other) => familyOf(one) === familyOf(other)));

/** A gateway hears of others' endpoints, not of the families that they dial in: it may wait for one that cannot. */
const canDial = (from: Node, to: Node): boolean =>
  to.endpoint?.addresses.some((address) =>
    [...from.addresses, ...(from.endpoint?.addresses ?? [])].some(
      (own) => familyOf(own) === familyOf(address),
    ),
  ) === true;

type End = readonly [site: Site, gateway: Node & { readonly ordinal: number }];

/** Whoever has an endpoint is dialled where it listens, on the interface whose peer the dialler is. */
function agree(t: ExecutionContext, sites: readonly Site[], near: Site, far: Site): void {
  const plans = (site: Site): [Node & { readonly ordinal: number }, HostPlan][] => {
    const others = sites.filter((each) => each !== site);
    return site.nodes.filter(isGateway).map((gateway) => [gateway, planOf(site, others, gateway.name)]);
  };
  const lanes = Array.from({ length: Math.min(near.lanes, far.lanes) }, (_, lane) => lane);
  for (const [here, from] of plans(near)) {
    for (const [there, to] of plans(far)) {
      const expected = sharePods(near, far) && (canDial(here, there) || canDial(there, here));
      const pairs = lanes.map(
        (lane) => [endOf(from, [far, there], lane), endOf(to, [near, here], lane)] as const,
      );
      if (expected) pairs.forEach((pair) => assertPair(t, pair, [far, there]));
      else t.true(pairs.every((pair) => pair.every((end) => end?.peer.endpoint === undefined)));
    }
  }
}

interface TunnelEnd {
  readonly tunnel: TunnelPlan;
  readonly device: DevicePlan;
  readonly peer: PeerConfig;
}

/** One end's tunnel, interface and peer towards the other. */
function endOf({ tunnels, devices }: HostPlan, [site, gateway]: End, lane: number): TunnelEnd | undefined {
  const tunnel = tunnels.find(({ id }) => id === `${site.id}/${gateway.ordinal}#${lane}`);
  const device = devices.find(({ name }) => name === tunnel?.device);
  const peer = device?.peers.find(
    ({ publicKey }) => publicKey === key(`${site.id}-${gateway.ordinal}-${lane}`),
  );
  return tunnel && device && peer && { tunnel, device, peer };
}

function assertPair(
  t: ExecutionContext,
  [out, back]: readonly [TunnelEnd | undefined, TunnelEnd | undefined],
  [site, gateway]: End,
): void {
  if (out === undefined || back === undefined) return t.fail('an end has no tunnel');
  t.deepEqual(out.tunnel.local, back.tunnel.remote);
  t.deepEqual(out.tunnel.remote, back.tunnel.local);
  if (out.peer.endpoint === undefined) return;
  const outside = out.peer.endpoint.port - (gateway.endpoint?.port ?? 0);
  t.is(outside, back.device.listenPort - site.listenPort);
}

// ---- what has to be probed ---------------------------------------------------------------------------------------

test('plan() names the links between nodes by the device that carries their packets', (t) => {
  const links = (site: Site, name: string, facts: Partial<Host> = {}): string[] =>
    planOf(
      site,
      [EAST, WEST].filter((each) => each !== site),
      name,
      facts,
    ).links.map(({ node: far, ordinal, local, remote }) => `${far} ${ordinal} ${local} ${remote}`);
  t.deepEqual(links(EAST, 'worker-1'), [
    'gw-0 0 203.0.113.101 203.0.113.10',
    'gw-1 1 203.0.113.101 203.0.113.11',
  ]);
  t.deepEqual(links(WEST, 'worker-1'), [
    'gw-0 0 fe80::73:c0a8:265%ist-link fe80::73:c0a8:20a%ist-link',
    'gw-1 1 fe80::73:c0a8:265%ist-link fe80::73:c0a8:20b%ist-link',
  ]);
  t.deepEqual(links(WEST, 'gw-1'), [
    'gw-0 0 fe80::73:c0a8:20b%ist-sib fe80::73:c0a8:20a%ist-sib',
    'worker-1 undefined fe80::73:c0a8:20b%ist-link fe80::73:c0a8:265%ist-link',
    'worker-2 undefined fe80::73:c0a8:20b%ist-link fe80::73:c0a8:266%ist-link',
  ]);
  t.deepEqual(links(WEST, 'worker-1', { families: [4] }).slice(0, 1), ['gw-0 0 192.168.2.101 192.168.2.10']);
});

test('plan() lets a worker answer at what responderAddress() gives for each of its gateways’ lanes', (t) => {
  const { echoes } = planOf(EAST, [WEST], 'worker-2');
  const ends = ['gw-0', 'gw-1'].flatMap((name) =>
    planOf(EAST, [WEST], name).tunnels.flatMap(({ local }) => local),
  );
  t.deepEqual(
    echoes.toSorted(),
    [...new Set(ends.map((address) => responderAddress(address, 2)))].toSorted(),
  );
  t.deepEqual(planOf(EAST, [WEST], 'gw-0').echoes, []);
});

// ---- what probes have found --------------------------------------------------------------------------------------

test('plan() gives routes the room that all of their tunnels are known to have', (t) => {
  const room = new Map<TunnelId, number>([['west/0#0', 1300]]);
  const mtus = (facts: Partial<Host>): unknown[] => {
    const { routes } = planOf(EAST, [WEST], 'gw-0', facts).network;
    return [...new Set(routes.filter(({ metric }) => metric === METRIC_GROUP).map(({ mtu }) => mtu))];
  };
  t.deepEqual(mtus({ room }), [1296]);
  t.deepEqual(mtus({ room, healthy: new Set<TunnelId>(['west/1#0']) }), mtus({}));
  t.deepEqual(mtus({ room: new Map<TunnelId, number>([['west/0#0', 9000]]) }), mtus({}));
});

test('plan() leads a worker by those gateways that are known to reach a cluster, and by none where none does', (t) => {
  const membersOf = (gateways: Host['gateways']): number[] => {
    const { groups } = planOf(EAST, [WEST], 'worker-1', gateways && { gateways }).network;
    return groups.map(({ members }) => members.length);
  };
  const reaching = new Set([WEST.index]);
  t.deepEqual(membersOf(undefined), [2, 2]);
  t.deepEqual(membersOf(new Map([[0, reaching]])), [1, 1]);
  t.deepEqual(
    membersOf(
      new Map([
        [0, reaching],
        [1, new Set<number>()],
      ]),
    ),
    [1, 1],
  );
  t.deepEqual(
    membersOf(
      new Map([
        [0, reaching],
        [1, reaching],
      ]),
    ),
    [2, 2],
  );
  t.deepEqual(membersOf(new Map()), []);
});

test('plan() sends by a sibling only what that sibling is known to have a way for', (t) => {
  const detours = (gateways: Host['gateways']): number => {
    const facts = { healthy: new Set<TunnelId>(), ...(gateways && { gateways }) };
    const { routes } = planOf(EAST, [WEST], 'gw-0', facts).network;
    return routes.filter(({ metric }) => metric === METRIC_SIBLING).length;
  };
  t.is(detours(undefined), 2);
  t.is(detours(new Map([[1, new Set([WEST.index])]])), 2);
  t.is(detours(new Map([[1, new Set<number>()]])), 0);
  t.is(detours(new Map()), 0);
});

test('parseHealth() gives back what healthText() was given', (t) => {
  const health = {
    healthy: new Set<TunnelId>(['west/0#0', 'west/1#0']),
    room: new Map<TunnelId, number>([['west/0#0', 1296]]),
    gateways: new Map([
      [0, new Set<number>()],
      [1, new Set([2, 3])],
    ]),
  };
  const text = healthText(health);
  t.deepEqual(parseHealth(text), health);
  t.deepEqual(JSON.parse(JSON.stringify(text)), text);
  t.deepEqual(healthText(parseHealth({ healthy: [] })), { healthy: [] });
});

// ---- what changes ------------------------------------------------------------------------------------------------

test('createPlanner() gives what plan() gives, whatever it has seen before', (t) => {
  const steps = fc.array(fc.tuple(fc.nat(6), fc.nat(63)), { minLength: 1, maxLength: 8 });
  const property = fc.property(anyView, steps, ({ fleet, host }, changes) => {
    const planner = createPlanner();
    let remotes = fleet.remotes;
    let healthy = host.healthy;
    for (const [what, which] of changes) {
      remotes = changeRemotes(remotes, fleet.remotes, what, which);
      healthy = what === 4 ? toggled(healthy, tunnelsOf(fleet), which) : healthy;
      const next = { ...fleet, remotes };
      const known = what === 5 ? knownOf(fleet, () => (which + healthy.size) % 3 === 0) : {};
      const seen = { ...host, healthy, ...known };
      t.deepEqual(planner(next, seen), plan(next, seen));
    }
  });
  fc.assert(property, { seed: 73, numRuns: 60 });
});

/** One remote goes, comes back, loses its gateways, has others’ CIDRs, or stays. */
function changeRemotes(
  now: readonly RemoteCluster[],
  all: readonly RemoteCluster[],
  what: number,
  which: number,
): readonly RemoteCluster[] {
  const id = all[which % all.length]?.id;
  const replace = (change: Partial<RemoteCluster>): readonly RemoteCluster[] =>
    now.map((remote) => (remote.id === id ? { ...remote, ...change } : remote));
  switch (what) {
    case 0:
      return now.filter((remote) => remote.id !== id);
    case 1:
      return all;
    case 2:
      return replace({ gateways: [] });
    case 3:
      return replace({ podCidrs: all[0]?.podCidrs ?? [], gateways: all[0]?.gateways ?? [] });
    default:
      return now;
  }
}

function toggled(
  healthy: ReadonlySet<TunnelId>,
  all: readonly TunnelId[],
  which: number,
): ReadonlySet<TunnelId> {
  const id = all[which % all.length];
  if (id === undefined) return healthy;
  return healthy.has(id) ? new Set([...healthy].filter((each) => each !== id)) : new Set([...healthy, id]);
}

test('createPlanner() keeps the objects of remotes that did not change when one joins', (t) => {
  const fleet = fleetOf(EAST, [WEST, EDGE]);
  const host = hostOf(fleet, 'gw-0');
  const planner = createPlanner();
  const before = planner({ ...fleet, remotes: fleet.remotes.slice(1) }, host);
  const after = planner(fleet, host);
  const routes = new Set(after.network.routes);
  for (const route of before.network.routes) t.true(routes.has(route), JSON.stringify(route));
  const peers = new Set(after.devices.flatMap((device) => device.peers));
  for (const peer of before.devices.flatMap((device) => device.peers)) t.true(peers.has(peer));
  for (const group of before.network.groups) t.true(after.network.groups.includes(group));
});

test('plan() sends the detour by those siblings only that can have a tunnel there', (t) => {
  const [first, second, ...workers] = EAST.nodes;
  if (first === undefined || second === undefined) throw new Error('no gateways');
  const third = { ...second, name: 'gw-2', ordinal: 2, addresses: [parseAddress('203.0.113.12')] };
  const nodes = [first, dialOut(second), third, ...workers];
  const { network } = planOf({ ...EAST, nodes }, [WEST, EDGE], 'gw-0');
  const detour = (destination: string): unknown => {
    const route = network.routes.find((each) => each.destination === destination && each.metric === 200);
    return network.groups.find(({ id }) => id === route?.nexthop)?.members;
  };
  // Neither edge nor the second gateway can be dialled.
  t.deepEqual(detour('10.2.0.0/16'), [siblingNexthop(4, 1, 1440), siblingNexthop(4, 2, 1440)]);
  t.deepEqual(detour('10.3.0.0/16'), [siblingNexthop(4, 2, 1408)]);
});

test('plan() makes no detour where no sibling has an address on the link', (t) => {
  const nodes = WEST.nodes.map((each) =>
    each.name === 'gw-1' ? { ...each, addresses: [parseAddress('2001:db8:2::11')] } : each,
  );
  const { routes } = planOf({ ...WEST, nodes }, [EAST], 'gw-0').network;
  t.deepEqual(
    routes.filter(({ metric }) => metric === 200),
    [],
  );
});

// ---- what is refused, and said -------------------------------------------------------------------------------------

const codes = ({ conditions }: HostPlan): string[] => conditions.map(({ code, about }) => `${code} ${about}`);

test('plan() throws for a host that is no node of the cluster', (t) => {
  t.throws(() => planOf(EAST, [], 'gw-7'), {
    instanceOf: RangeError,
    message: 'Cannot plan for "gw-7": cluster "east" has no node of that name',
  });
});

test('plan() says that two sites which only dial out have no path, and still guards', (t) => {
  const seen = planOf(EDGE, [OUTPOST], 'gw-0');
  t.deepEqual(codes(seen), ['IST_DIAL_OUT_BOTH outpost/0']);
  t.deepEqual(seen.tunnels, []);
  t.deepEqual(seen.network.groups, []);
  t.deepEqual(seen.remoteCidrs, OUTPOST.podCidrs);
});

test('plan() leaves out a remote that has a CIDR of ours, of our hosts or of an older cluster', (t) => {
  const thief = (cidr: string): Site => ({
    ...OUTPOST,
    index: 9,
    podCidrs: [parseCidr(cidr), parseCidr('10.9.0.0/16')],
  });
  for (const [cidr, other] of [
    ['10.1.128.0/17', '10.1.0.0/16 of this cluster'],
    ['10.0.0.0/8', '10.1.0.0/16 of this cluster'],
    ['203.0.113.0/24', '203.0.113.10/32 of this cluster'],
    ['100.64.0.0/16', '100.64.0.0/10 of this cluster'],
    ['10.2.3.0/24', '10.2.0.0/16 of cluster "west"'],
  ]) {
    const seen = planOf(EAST, [WEST, thief(cidr ?? '')], 'gw-0');
    const [refused] = seen.conditions.filter(({ code }) => code === 'IST_CLAIM_OVERLAP');
    t.is(refused?.text, `Cluster "outpost" is left out: its ${cidr} overlaps ${other}`);
    t.false(seen.tunnels.some(({ id }) => id.startsWith('outpost')));
    t.true(seen.tunnels.some(({ id }) => id.startsWith('west')));
    t.deepEqual(
      seen.remoteCidrs.filter((each) => each === cidr || each === '10.9.0.0/16'),
      ['10.9.0.0/16'],
    );
  }
});

test('plan() leaves out a remote that has the index of another', (t) => {
  const seen = planOf(EAST, [WEST, { ...OUTPOST, index: 1 }], 'gw-0');
  t.true(
    seen.conditions.some(
      ({ text }) => text === 'Cluster "outpost" is left out: its index 1 overlaps index 1 of this cluster',
    ),
  );
});

test('plan() sees a clash between ranges that both lie within a third', (t) => {
  const west = { ...WEST, podCidrs: [parseCidr('10.9.1.0/24')], serviceCidrs: [parseCidr('10.8.0.0/13')] };
  const seen = planOf(EAST, [west, { ...OUTPOST, podCidrs: [parseCidr('10.9.0.0/16')] }], 'gw-0');
  t.true(
    seen.conditions.some(
      ({ text }) =>
        text === 'Cluster "outpost" is left out: its 10.9.0.0/16 overlaps 10.9.1.0/24 of cluster "west"',
    ),
  );
});

test('plan() decides between two clusters of one index the same way, whichever it knew first', (t) => {
  const rival = { ...OUTPOST, index: WEST.index };
  const planner = createPlanner();
  const world = fleetOf(EAST, [WEST, rival]);
  const host = hostOf(world, 'gw-0');
  const [outpost] = world.remotes;
  planner({ ...world, remotes: world.remotes.slice(1) }, host);
  t.deepEqual(planner(world, host), plan(world, host));
  t.is(outpost?.id, rival.id);
  t.true(codes(plan(world, host)).includes('IST_CLAIM_OVERLAP west'));
});

test('plan() leaves room for the family in which a far end dials that shares none with us', (t) => {
  const six = (site: Site): Site => ({
    ...site,
    nodes: site.nodes.map(({ endpoint, ...rest }) => ({
      ...rest,
      addresses: [...rest.addresses, parseAddress('2001:db8:9::1')],
      ...(endpoint && { endpoint: { ...endpoint, addresses: [parseAddress('2001:db8:9::1')] } }),
    })),
  });
  const alone = { ...six(EAST), nodes: six(EAST).nodes.slice(0, 1) };
  const { routes } = planOf(alone, [{ ...WEST, nodes: WEST.nodes.slice(0, 1) }], 'gw-0').network;
  // 1500 less 80 of IPv6, and a multiple of 16 since the device has the 1440 of IPv4.
  t.deepEqual([...new Set(routes.flatMap(({ mtu }) => mtu ?? []))], [1408]);
});

test('plan() gives no tunnel by a key that an older cluster shows', (t) => {
  const fleet = fleetOf(EAST, [WEST]);
  const [west] = fleet.remotes;
  if (west === undefined) throw new Error('no west');
  const copy = {
    ...west,
    id: parseClusterId('a-copy'),
    index: 9,
    podCidrs: OUTPOST.podCidrs,
    serviceCidrs: [],
  };
  const seen = plan({ ...fleet, remotes: [copy, west] }, hostOf(fleet, 'gw-0'));
  t.true(codes(seen).includes('IST_KEY_CONTESTED a-copy'));
  t.deepEqual(
    seen.tunnels.map(({ id }) => id),
    ['west/0#0', 'west/0#1', 'west/1#0', 'west/1#1'],
  );
});

test('plan() only guards the service CIDRs of others, and none that is used here as well', (t) => {
  const seen = planOf(EAST, [WEST, { ...OUTPOST, serviceCidrs: EAST.serviceCidrs }], 'gw-0');
  const services = [...EAST.serviceCidrs, ...WEST.serviceCidrs];
  t.deepEqual(
    seen.network.routes
      .filter(({ destination }) => services.includes(destination))
      .map(({ kind, destination }) => `${kind} ${destination}`),
    ['unreachable 10.102.0.0/16'],
  );
  t.false(codes(seen).some((code) => code.startsWith('IST_CLAIM_OVERLAP')));
});

test('plan() sends nothing to a remote without gateways, and guards it', (t) => {
  const fleet = fleetOf(EAST, [WEST]);
  const revoked = fleet.remotes.map((remote) => ({ ...remote, gateways: [] }));
  for (const name of ['gw-0', 'worker-1']) {
    const { network, devices, remoteCidrs } = plan({ ...fleet, remotes: revoked }, hostOf(fleet, name));
    t.deepEqual(devices, []);
    t.true(
      network.routes.every(
        ({ kind, destination }) => kind === 'unreachable' || !remoteCidrs.includes(destination),
      ),
    );
    t.deepEqual(remoteCidrs, sorted([...WEST.podCidrs, ...WEST.serviceCidrs]));
  }
});

test('plan() says what is weak: no source, no common family, a small MTU, a link without addresses', (t) => {
  const bare = { ...WEST, nodes: WEST.nodes.map((each) => ({ ...each, podCidrs: [] })) };
  t.deepEqual(codes(planOf(bare, [], 'gw-0')), [
    'IST_SOURCE_MISSING gw-0 IPv4',
    'IST_SOURCE_MISSING gw-0 IPv6',
  ]);
  const six = { ...OUTPOST, podCidrs: [parseCidr('fd10:4::/32')] };
  t.deepEqual(codes(planOf(EDGE, [six], 'gw-0')), ['IST_FAMILY_UNSHARED outpost']);
  t.deepEqual(codes(planOf(WEST, [], 'gw-0', { uplink: { device: 'eth0', mtu: 1320 } })), [
    'IST_MTU_SMALL gw-0',
  ]);
  const mute = {
    ...WEST,
    nodes: WEST.nodes.map((each) =>
      each.name === 'worker-2' ? { ...each, addresses: [parseAddress('2001:db8:2::1')] } : each,
    ),
  };
  t.deepEqual(codes(planOf(mute, [], 'gw-0')), ['IST_LINK_ADDRESS worker-2']);
});

test('plan() takes an address that stands, else gives the pod CIDR’s first', (t) => {
  const sources = (addresses: readonly string[], pods: readonly string[]): unknown => {
    const nodes = EDGE.nodes.map((each) => ({ ...each, podCidrs: pods.map((text) => parseCidr(text)) }));
    const facts = { addresses: addresses.map((text): Address => parseAddress(text)) };
    const { network } = planOf({ ...EDGE, nodes: nodes.slice(0, 1) }, [WEST], 'gw-0', facts);
    const given = network.addresses
      .filter(({ device }) => device === 'ist-node')
      .map(({ address }) => address);
    return [
      network.routes.find(({ source, metric }) => source !== undefined && metric === 100)?.source,
      ...given,
    ];
  };
  t.deepEqual(sources([], ['10.3.10.0/24']), ['10.3.10.1', '10.3.10.1']);
  t.deepEqual(sources(['10.3.10.7', '10.3.10.5'], ['10.3.10.0/24']), ['10.3.10.5']);
  t.deepEqual(sources(['10.3.99.7'], []), ['10.3.99.7']);
  t.deepEqual(sources(['192.168.3.10'], []), [undefined]);
});

test('plan() leaves room for IPv6 around tunnels and VXLAN', (t) => {
  const only6 = (site: Site): Site => ({ ...site, nodes: site.nodes.map((each) => only(each, 6)) });
  const mtus = (own: Site, other: Site, name: string): unknown => {
    const { network } = planOf(own, [other], name);
    const device = network.links.find(({ kind }) => kind === 'wireguard')?.mtu;
    return [device, ...new Set(network.routes.flatMap(({ metric, mtu }) => (metric === 100 ? [mtu] : [])))];
  };
  const west6 = { ...EAST, id: WEST.id, index: 2, podCidrs: WEST.podCidrs, serviceCidrs: [] };
  t.deepEqual(mtus(EAST, west6, 'gw-0'), [1440, undefined]);
  t.deepEqual(mtus(EAST, only6(west6), 'gw-0'), [1440, 1408]);
  t.deepEqual(mtus(only6(EAST), only6(west6), 'gw-0'), [1420, undefined]);
  t.deepEqual(mtus(only6(EAST), only6(west6), 'worker-1'), [undefined, 1420]);
  t.deepEqual(mtus({ ...EAST, link: 'vxlan' }, west6, 'worker-1'), [undefined, 1440]);
  // What is measured begins there as well: kernel WireGuard would have a larger packet cut on its own line, and it would arrive.
  const far6 = { ...only6(west6), id: EDGE.id, index: EDGE.index, podCidrs: EDGE.podCidrs };
  const { tunnels } = planOf(EAST, [WEST, far6], 'gw-0');
  t.deepEqual(
    [...new Set(tunnels.map(({ id, mtu }) => `${clusterOf(id)} ${mtu}`))],
    ['edge 1408', 'west 1440'],
  );
});

function only(each: Node, family: 4 | 6): Node {
  const addresses = each.addresses.filter((address) => familyOf(address) === family);
  return each.endpoint === undefined
    ? { ...each, addresses }
    : { ...each, addresses, endpoint: { ...each.endpoint, addresses } };
}

test('plan() encapsulates a family that the link’s addresses lack', (t) => {
  const four = { ...EAST, nodes: EAST.nodes.map((each) => only(each, 4)) };
  const { network } = planOf(four, [WEST], 'worker-1');
  const ways = network.nexthops.map(({ family, device, via }) => `${family} ${device} ${via}`);
  t.deepEqual(ways.filter((way) => way.startsWith('4'))[0], '4 eth0 203.0.113.10');
  t.deepEqual(ways.filter((way) => way.startsWith('6'))[0], '6 ist-link fe80::73:cb00:710a');
});
