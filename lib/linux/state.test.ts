import test from 'ava';
import * as fc from 'fast-check';
import { parseAddress, parseCidr } from '#lib/ip';
import type { Cidr } from '#lib/ip';
import type { Changes, NftChange } from './changes.ts';
import { diff } from './diff.ts';
import { changesBetween } from './between.ts';
import { diffState, hasChanges } from './diff-state.ts';
import { fingerprint } from './fingerprint.ts';
import type { HeldNexthop, HeldRoute, KernelState } from './kernel-state.ts';
import { changeElements, replaceTable } from './render-nft.ts';
import type { Step } from './script.ts';
import { script } from './script.ts';
import { SimulatedKernel } from './simulated-kernel.ts';
import type { Link, NetworkState, Nexthop, NexthopGroup, Route, Rule } from './state.ts';
import { EMPTY_STATE } from './state.ts';

const NOTHING: KernelState = {
  links: [],
  addresses: [],
  neighbours: [],
  forwarding: [],
  nexthops: [],
  groups: [],
  routes: [],
  rules: [],
  sysctls: {},
  nftables: undefined,
};

// ── Golden text ──────────────────────────────────────────────────────────────────────────────────────────────────

const MARK = 0x300000;
const a = parseAddress;
const c = parseCidr;

/** A part of what east/gw-0 holds. */
const GATEWAY: NetworkState = {
  links: [
    { kind: 'wireguard', name: 'ist00', mtu: 1440, group: 73 },
    {
      kind: 'vxlan',
      name: 'ist-sib',
      mtu: 1450,
      group: 0,
      vni: 474,
      port: 8473,
      local: a('192.0.2.1'),
      mac: '02:73:00:00:00:01',
    },
    { kind: 'bridge', name: 'ist-node', mtu: 1500, group: 0 },
  ],
  addresses: [
    { device: 'ist00', address: a('100.64.1.0'), prefix: 32, scope: 'link', deprecated: false },
    { device: 'ist00', address: a('fdfa:bfab:1:1::'), prefix: 128, scope: 'global', deprecated: true },
    { device: 'ist-node', address: a('10.1.11.1'), prefix: 32, scope: 'global', deprecated: false },
  ],
  neighbours: [
    { device: 'ist-sib', address: a('169.254.73.2'), mac: '02:73:00:00:00:02', outer: a('192.0.2.2') },
    { device: 'ist-sib', address: a('fe80::73:2'), mac: '02:73:00:00:00:02', outer: a('192.0.2.2') },
  ],
  nexthops: [
    { id: 7400000, family: 4, device: 'ist00' },
    { id: 7400101, family: 4, device: 'ist-sib', via: a('169.254.73.2'), onlink: true },
    { id: 7600000, family: 6, device: 'ist00' },
  ],
  groups: [
    { id: 7401002, members: [7400000], buckets: 127 },
    { id: 7601002, members: [7600000] },
  ],
  routes: [
    {
      kind: 'unicast',
      destination: c('10.2.0.0/16'),
      table: 7301,
      metric: 100,
      nexthop: 7401002,
      source: a('10.1.11.1'),
      mtu: 1440,
    },
    { kind: 'unicast', destination: c('10.2.0.0/16'), table: 7301, metric: 200, nexthop: 7400101 },
    { kind: 'unreachable', destination: c('10.2.0.0/16'), table: 7301, metric: 4294967295 },
    { kind: 'unicast', destination: c('fd10:2::/32'), table: 7301, metric: 100, nexthop: 7601002 },
    { kind: 'unreachable', destination: c('::/0'), table: 7303, metric: 4294967294 },
    {
      kind: 'unicast',
      destination: c('100.64.0.0/16'),
      table: 7301,
      metric: 0,
      device: 'ist00',
      source: a('100.64.1.0'),
    },
    {
      kind: 'unicast',
      destination: c('10.3.0.0/16'),
      table: 7302,
      metric: 0,
      device: 'ist-sib',
      via: a('fe80::73:2'),
      onlink: true,
    },
  ],
  rules: [
    { family: 4, priority: 301, mark: { value: 0, mask: MARK }, action: { lookup: 7301 } },
    {
      family: 4,
      priority: 304,
      mark: { value: 0x200000, mask: MARK },
      action: { lookup: 254, suppressPrefix: 0 },
    },
    { family: 6, priority: 300, from: c('fd10::/48'), action: { lookup: 7310 } },
    { family: 6, priority: 305, mark: { value: 0x200000, mask: MARK }, action: 'unreachable' },
  ],
  sysctls: { 'net.ipv4.ip_forward': '1' },
  nftables: {
    name: 'isthmus',
    body: '  set far4 { type ipv4_addr; flags interval; }',
    sets: { far4: ['10.2.0.0/16'] },
  },
};

function textOf(steps: readonly Step[]): string {
  return steps
    .map((step) => {
      if ('lines' in step) return [`# ${step.kind}`, ...step.lines.map(({ text }) => text)].join('\n');
      if (step.kind === 'nft') return `# nft\n${nftText(step.change)}`.trimEnd();
      if (step.kind === 'start') return `# start\n${step.names.join(' ')}`;
      return `# sysctl\n${step.changes.map(({ key, to }) => `${key} = ${to}`).join('\n')}`;
    })
    .join('\n');
}

function nftText(change: NftChange): string {
  if (change.kind === 'replace') return replaceTable(change.table);
  return change.kind === 'elements' ? changeElements(change) : `delete ${change.name}`;
}

test('script() sets a gateway up: guards, unreachable routes, rules, devices, nexthops, groups, routes', (t) => {
  t.is(
    textOf(script(diffState(NOTHING, GATEWAY), 'kernel')),
    `# nft
add table inet isthmus
delete table inet isthmus
table inet isthmus {
  set far4 { type ipv4_addr; flags interval; }
}
add element inet isthmus far4 { 10.2.0.0/16 }
# ip
route replace unreachable 10.2.0.0/16 table 7301 metric 4294967295 protocol 73
route replace unreachable ::/0 table 7303 metric 4294967294 protocol 73
rule add priority 301 fwmark 0x0/0x300000 lookup 7301 protocol 73
rule add priority 304 fwmark 0x200000/0x300000 lookup 254 suppress_prefixlength 0 protocol 73
# ip6
rule add priority 300 from fd10::/48 lookup 7310 protocol 73
rule add priority 305 fwmark 0x200000/0x300000 unreachable protocol 73
# ip
link add dev ist00 mtu 1440 group 73 type wireguard
link set dev ist00 addrgenmode none
link set dev ist00 mtu 1440 group 73 up
link add dev ist-sib address 02:73:00:00:00:01 mtu 1450 group 0 type vxlan id 474 dstport 8473 local 192.0.2.1 nolearning
link set dev ist-sib mtu 1450 group 0 up
link add dev ist-node mtu 1500 group 0 type bridge
link set dev ist-node mtu 1500 group 0 up
addr replace 100.64.1.0/32 dev ist00 scope link
addr replace fdfa:bfab:1:1::/128 dev ist00 nodad valid_lft forever preferred_lft 0
addr replace 10.1.11.1/32 dev ist-node scope global
neigh replace 169.254.73.2 lladdr 02:73:00:00:00:02 dev ist-sib nud permanent
neigh replace fe80::73:2 lladdr 02:73:00:00:00:02 dev ist-sib nud permanent
# bridge
fdb replace 02:73:00:00:00:02 dev ist-sib dst 192.0.2.2 self permanent
# sysctl
net.ipv4.ip_forward = 1
# ip
nexthop replace id 7400000 dev ist00 protocol 73
nexthop replace id 7400101 via 169.254.73.2 dev ist-sib onlink protocol 73
# ip6
nexthop replace id 7600000 dev ist00 protocol 73
# ip
nexthop replace id 7401002 group 7400000 type resilient buckets 127 idle_timer 60 protocol 73
nexthop replace id 7601002 group 7600000 protocol 73
route replace 10.2.0.0/16 nhid 7401002 src 10.1.11.1 mtu 1440 table 7301 metric 100 protocol 73
route replace 10.2.0.0/16 nhid 7400101 table 7301 metric 200 protocol 73
route replace fd10:2::/32 nhid 7601002 table 7301 metric 100 protocol 73
route replace 100.64.0.0/16 dev ist00 src 100.64.1.0 table 7301 protocol 73
route replace 10.3.0.0/16 via inet6 fe80::73:2 dev ist-sib onlink table 7302 protocol 73`,
  );
});

test('script() starts userspace devices before it sets them up', (t) => {
  const wanted = { ...EMPTY_STATE, links: GATEWAY.links.slice(0, 1) };
  t.is(
    textOf(script(diffState(NOTHING, wanted), 'userspace')),
    `# start
ist00
# ip
link set dev ist00 addrgenmode none
link set dev ist00 mtu 1440 group 73 up`,
  );
});

test('script() takes devices away first, and then everything in reverse', (t) => {
  const have = settle(NOTHING, GATEWAY);
  t.is(
    textOf(
      script(
        diffState(have, EMPTY_STATE, { 'net.ipv4.conf.eth0.rp_filter': { before: '1', ours: '2' } }),
        'kernel',
      ),
    ),
    `# ip
link del dev ist00
link del dev ist-sib
link del dev ist-node
# ip6
rule del priority 300 from fd10::/48 lookup 7310 protocol 73
rule del priority 305 fwmark 0x200000/0x300000 unreachable protocol 73
# ip
rule del priority 301 fwmark 0x0/0x300000 lookup 7301 protocol 73
rule del priority 304 fwmark 0x200000/0x300000 lookup 254 suppress_prefixlength 0 protocol 73
route del 10.2.0.0/16 nhid 7401002 table 7301 metric 100 protocol 73
route del 10.2.0.0/16 nhid 7400101 table 7301 metric 200 protocol 73
route del fd10:2::/32 nhid 7601002 table 7301 metric 100 protocol 73
route del 100.64.0.0/16 dev ist00 table 7301 protocol 73
route del 10.3.0.0/16 via inet6 fe80::73:2 dev ist-sib onlink table 7302 protocol 73
nexthop del id 7401002
nexthop del id 7601002
nexthop del id 7400000
nexthop del id 7400101
nexthop del id 7600000
route del unreachable 10.2.0.0/16 table 7301 metric 4294967295 protocol 73
route del unreachable ::/0 table 7303 metric 4294967294 protocol 73
# nft
delete isthmus`,
  );
});

test('script() moves one cluster’s flows with one line', (t) => {
  const two: NetworkState = {
    ...GATEWAY,
    groups: [{ id: 7401002, members: [7400000, 7400101], buckets: 127 }, ...GATEWAY.groups.slice(1)],
  };
  t.is(
    textOf(script(diffState(settle(NOTHING, two), GATEWAY), 'kernel')),
    '# ip\nnexthop replace id 7401002 group 7400000 type resilient buckets 127 idle_timer 60 protocol 73',
  );
});

test('script() makes a group of another size anew, with the routes that the kernel drops along with it', (t) => {
  const other: NetworkState = {
    ...GATEWAY,
    groups: [{ id: 7401002, members: [7400000], buckets: 128 }, ...GATEWAY.groups.slice(1)],
  };
  t.is(
    textOf(script(diffState(settle(NOTHING, GATEWAY), other), 'kernel')),
    `# ip
nexthop del id 7401002
nexthop replace id 7401002 group 7400000 type resilient buckets 128 idle_timer 60 protocol 73
route replace 10.2.0.0/16 nhid 7401002 src 10.1.11.1 mtu 1440 table 7301 metric 100 protocol 73`,
  );
});

test('script() takes elements out last, and in one transaction where others come in', (t) => {
  const change = (sets: Record<string, string[]>): NetworkState => ({
    ...EMPTY_STATE,
    nftables: { name: 'isthmus', body: '', sets },
  });
  const have = settle(NOTHING, change({ far4: ['10.2.0.0/16', '10.3.0.0/16'] }));
  t.is(
    textOf(script(diffState(have, change({ far4: ['10.2.0.0/17', '10.3.0.0/16'] })), 'kernel')),
    '# nft\ndelete element inet isthmus far4 { 10.2.0.0/16 }\nadd element inet isthmus far4 { 10.2.0.0/17 }',
  );
  t.is(
    textOf(script(diffState(have, { ...change({}), rules: GATEWAY.rules.slice(0, 1) }), 'kernel')),
    `# ip
rule add priority 301 fwmark 0x0/0x300000 lookup 7301 protocol 73
# nft
delete element inet isthmus far4 { 10.2.0.0/16, 10.3.0.0/16 }`,
  );
});

// ── Refusals and other people's things ───────────────────────────────────────────────────────────────────────────

test('diffState() refuses what nobody could recognise afterwards', (t) => {
  const refused: readonly [Partial<NetworkState>, RegExp][] = [
    [
      { links: [{ kind: 'bridge', name: 'br0', mtu: 1500, group: 0 }] },
      /its name does not say that it is ours/,
    ],
    [{ links: [{ kind: 'bridge', name: 'istioin', mtu: 1500, group: 0 }] }, /its name does not say/],
    [
      {
        addresses: [{ device: 'lo', address: a('10.0.0.1'), prefix: 32, scope: 'global', deprecated: false }],
      },
      /"lo"/,
    ],
    [{ nexthops: [{ id: 5, family: 4, device: 'ist00' }] }, /Cannot make nexthop "5": it is outside/],
    [{ groups: [{ id: 7401002, members: [] }] }, /it has no members/],
    [
      { routes: [{ kind: 'unreachable', destination: c('10.0.0.0/8'), table: 254, metric: 0 }] },
      /table 254 is not one/,
    ],
  ];
  for (const [part, message] of refused)
    t.throws(() => diffState(NOTHING, { ...EMPTY_STATE, ...part }), { instanceOf: RangeError, message });
});

test('diffState() leaves nexthops of others alone, and takes back an id that it wants', (t) => {
  const foreign: HeldNexthop = { id: 7400009, family: 4, device: 'eth0', ours: false };
  const taken: HeldNexthop = { id: 7400000, family: 4, device: 'ist00', ours: false };
  const wanted = { ...EMPTY_STATE, nexthops: GATEWAY.nexthops.slice(0, 1) };
  const { nexthops } = diffState({ ...NOTHING, nexthops: [foreign, taken] }, wanted);
  t.deepEqual(nexthops, {
    add: [],
    change: [{ from: taken, to: { id: 7400000, family: 4, device: 'ist00' } }],
    remove: [],
  });
});

test('diffState() removes a stranger’s route from our tables', (t) => {
  const stranger: HeldRoute = {
    family: 4,
    kind: 'unicast',
    destination: c('10.2.0.0/16'),
    table: 7301,
    metric: 50,
    protocol: 3,
    device: 'eth0',
    foreign: '',
  };
  t.deepEqual(diffState({ ...NOTHING, routes: [stranger] }, EMPTY_STATE).routes.remove, [stranger]);
});

test('diffState() leaves the kernel’s own link-local addresses where they are', (t) => {
  const own = {
    device: 'ist-sib',
    address: a('fe80::73:ff:fe00:1'),
    prefix: 64,
    scope: 'link',
    deprecated: false,
  } as const;
  t.false(hasChanges(diffState({ ...NOTHING, addresses: [own] }, EMPTY_STATE)));
});

test('diffState() never lowers forwarding, and restores a sysctl only while it is ours', (t) => {
  const key = 'net.ipv4.conf.eth0.rp_filter';
  const sysctls = (
    have: Record<string, string>,
    want: Record<string, string>,
    remembered = {},
  ): Changes['sysctls'] =>
    diffState({ ...NOTHING, sysctls: have }, { ...EMPTY_STATE, sysctls: want }, remembered).sysctls;
  t.deepEqual(sysctls({ 'net.ipv4.ip_forward': '1' }, { 'net.ipv4.ip_forward': '0' }), []);
  t.deepEqual(sysctls({ [key]: '1' }, { [key]: '2' }), [{ key, from: '1', to: '2', why: 'wanted' }]);
  t.deepEqual(sysctls({}, { [key]: '2' }), [{ key, to: '2', why: 'wanted' }]);
  t.deepEqual(sysctls({ [key]: '2' }, {}, { [key]: { before: '1', ours: '2' } }), [
    { key, from: '2', to: '1', why: 'restore' },
  ]);
  t.deepEqual(sysctls({ [key]: '0' }, {}, { [key]: { before: '1', ours: '2' } }), []);
  t.deepEqual(
    sysctls({ 'net.ipv4.ip_forward': '1' }, {}, { 'net.ipv4.ip_forward': { before: '0', ours: '1' } }),
    [],
  );
});

test('diffState() replaces a table that is missing, damaged or of another plan, and no other', (t) => {
  const table = { name: 'isthmus', body: 'chain x { }', sets: {} };
  const seal = { body: fingerprint(table.body), listing: 'now' };
  const held = { name: 'isthmus', listing: 'now', sets: {} };
  const change = (nftables: KernelState['nftables']): NftChange | undefined =>
    diffState({ ...NOTHING, nftables }, { ...EMPTY_STATE, nftables: table }).nftables;
  t.deepEqual(change(undefined), { kind: 'replace', table, reason: 'missing' });
  t.deepEqual(change({ ...held, seal: undefined }), { kind: 'replace', table, reason: 'damage' });
  t.deepEqual(change({ ...held, seal: { ...seal, listing: 'then' } }), {
    kind: 'replace',
    table,
    reason: 'damage',
  });
  t.deepEqual(change({ ...held, seal: { ...seal, body: 'other' } }), {
    kind: 'replace',
    table,
    reason: 'plan',
  });
  t.is(change({ ...held, seal }), undefined);
  t.deepEqual(change({ ...held, seal, sets: { far4: ['10.0.0.0/8'] } }), {
    kind: 'elements',
    name: 'isthmus',
    add: {},
    remove: { far4: ['10.0.0.0/8'] },
  });
});

test('fingerprint() differs for texts that differ', (t) => {
  const seen = new Set<string>();
  for (let i = 0; i < 20_000; i++) seen.add(fingerprint(`ip saddr 10.${i >> 8}.${i & 255}.0/24 drop`));
  t.is(seen.size, 20_000);
  t.regex(fingerprint(''), /^[0-9a-f]{14}$/);
});

// ── Any state to any other ───────────────────────────────────────────────────────────────────────────────────────

function settle(have: KernelState, wanted: NetworkState): KernelState {
  const kernel = new SimulatedKernel(have);
  kernel.run(script(diffState(have, wanted), 'kernel'));
  return kernel.state;
}

const some = <T>(values: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...values]);
const link: readonly fc.Arbitrary<Link>[] = [
  fc.record({
    kind: fc.constantFrom('wireguard', 'bridge'),
    name: fc.constant('ist00'),
    mtu: fc.constantFrom(1400, 1440),
    group: fc.constantFrom(0, 73),
  }),
  fc.record({
    kind: fc.constant('wireguard'),
    name: fc.constant('ist01'),
    mtu: fc.constant(1440),
    group: fc.constant(73),
  }),
  fc.record({
    kind: fc.constant('vxlan'),
    name: fc.constant('ist-sib'),
    mtu: fc.constant(1450),
    group: fc.constant(0),
    vni: fc.constantFrom(474, 475),
    port: fc.constant(8473),
    local: fc.constant(a('192.0.2.1')),
    mac: fc.constant('02:73:00:00:00:01'),
  }),
];
const CIDRS: readonly Cidr[] = ['10.2.0.0/16', '10.3.0.0/16', 'fd10:2::/32', '::/0'].map(c);
const scope = fc.constantFrom('link', 'global');

/** Plans whose parts stand on each other, as plan() makes them. */
const plan: fc.Arbitrary<NetworkState> = fc
  .tuple(...link.map((one) => fc.option(one, { nil: undefined })))
  .chain((made) => {
    const links = made.filter((one) => one !== undefined);
    const names = links.map(({ name }) => name);
    const addresses = names.flatMap((device) =>
      ['10.1.0.1', '10.1.0.2', 'fd10:1::1'].map((text) => ({
        device,
        address: a(text),
        prefix: text.includes(':') ? 128 : 32,
      })),
    );
    const hops: Nexthop[] = names.flatMap((device, at) => [
      { id: 7400000 + at, family: 4, device } as const,
      { id: 7600000 + at, family: 6, device } as const,
      { id: 7400100, family: 4, device, via: a('169.254.73.2'), onlink: true } as const,
    ]);
    return fc.record({
      links: fc.constant(links),
      addresses: some(addresses).chain((list) =>
        fc.tuple(
          ...list.map((one) =>
            fc.record({ scope, deprecated: fc.boolean() }).map((detail) => ({ ...one, ...detail })),
          ),
        ),
      ),
      neighbours: names.includes('ist-sib')
        ? some(['169.254.73.2', 'fe80::73:2']).chain((list) =>
            fc
              .constantFrom('02:73:00:00:00:02', '02:73:00:00:00:03')
              .chain((mac) =>
                fc
                  .constantFrom('192.0.2.2', '192.0.2.3')
                  .map((outer) =>
                    list.map((text) => ({ device: 'ist-sib', address: a(text), mac, outer: a(outer) })),
                  ),
              ),
          )
        : fc.constant([]),
      nexthops: some(hops).map((list) => [...new Map(list.map((hop) => [hop.id, hop])).values()]),
      rules: some<Rule>(GATEWAY.rules),
      sysctls: fc.constant({}),
      nftables: fc.option(
        fc.record({
          name: fc.constant('isthmus'),
          body: fc.constantFrom('a', 'b'),
          sets: fc.record({ far4: some(['10.2.0.0/16', '10.3.0.0/16']) }),
        }),
        { nil: undefined },
      ),
    });
  })
  .chain((base) => {
    const ids = (family: number): number[] =>
      base.nexthops.filter((hop) => hop.family === family).map(({ id }) => id);
    return fc
      .record({ buckets: fc.constantFrom(undefined, 127, 128), four: some(ids(4)), six: some(ids(6)) })
      .chain(({ buckets, four, six }) => {
        const groups: NexthopGroup[] = [
          { id: 7401002, members: four },
          { id: 7601002, members: six },
        ]
          .filter(({ members }) => members.length > 0)
          .map((group) => ({ ...group, ...(buckets !== undefined && { buckets }) }));
        return routes(
          base.links,
          base.addresses.map(({ address }) => address),
          [...base.nexthops, ...groups].map(({ id }) => id),
        ).map((list) => ({ ...base, groups, routes: list }));
      });
  });

function routes(
  links: readonly Link[],
  sources: readonly string[],
  ids: readonly number[],
): fc.Arbitrary<Route[]> {
  const all = CIDRS.flatMap((destination): fc.Arbitrary<Route>[] => {
    const six = destination.includes(':');
    const hops = ids.filter((id) => id >= 7600000 === six);
    const source = fc.constantFrom(undefined, ...sources.filter((one) => one.includes(':') === six).map(a));
    const base = { destination, table: 7301 };
    return [
      fc.constant({ kind: 'unreachable', ...base, metric: 4294967294 }),
      ...(hops.length > 0
        ? [
            fc
              .tuple(fc.constantFrom(...hops), source, fc.constantFrom(undefined, 1440))
              .map(([nexthop, from, mtu]): Route => ({
                kind: 'unicast',
                ...base,
                metric: 100,
                nexthop,
                ...(from && { source: from }),
                ...(mtu && { mtu }),
              })),
          ]
        : []),
      ...(links.length > 0
        ? [
            fc
              .constantFrom(...links)
              .map(({ name }): Route => ({ kind: 'unicast', ...base, metric: 0, device: name })),
          ]
        : []),
    ];
  });
  return fc
    .tuple(...all.map((one) => fc.option(one, { nil: undefined })))
    .map((list) => list.filter((one) => one !== undefined));
}

/** What others do to a host behind our back. */
const damage = fc.array(
  fc.constantFrom(
    'link del dev ist00',
    'link del dev ist-sib',
    'link set dev ist00 mtu 1300 group 5',
    'addr del 10.1.0.1/32 dev ist00',
    'addr replace 10.9.9.9/32 dev ist00 scope link',
    'neigh del 169.254.73.2 dev ist-sib',
    'neigh replace 169.254.73.9 lladdr 02:00:00:00:00:09 dev ist-sib nud permanent',
    'fdb del 02:73:00:00:00:02 dev ist-sib dst 192.0.2.2 self',
    'fdb replace 02:00:00:00:00:09 dev ist-sib dst 192.0.2.9 self permanent',
    'nexthop del id 7400000',
    'nexthop del id 7401002',
    'nexthop replace id 7400001 dev ist00 protocol 73',
    'nexthop replace id 7400777 dev ist00 protocol 73',
    'nexthop replace id 7401002 group 7400000 protocol 73',
    'route del unreachable 10.2.0.0/16 table 7301 metric 4294967294 protocol 73',
    'route replace unreachable 10.2.0.0/16 table 7301 metric 100 protocol 73',
    'route replace 10.66.0.0/16 dev ist00 table 7301 protocol 3',
    'rule del priority 301 fwmark 0x0/0x300000 lookup 7301 protocol 73',
    'rule add priority 999 lookup 7302 protocol 73',
  ),
  { maxLength: 6 },
);

test('diffState() and script() lead from any state to any plan, in one pass, past every refusal of a kernel', (t) => {
  fc.assert(
    fc.property(plan, damage, plan, (first, harm, wanted) => {
      const kernel = new SimulatedKernel(settle(NOTHING, first));
      for (const line of harm) kernel.obey(line);
      kernel.refused.length = 0;
      const lines = script(diffState(kernel.state, wanted), 'kernel');
      kernel.run(lines);
      const pardoned = new Set(
        lines.flatMap((step) =>
          'lines' in step ? step.lines.filter(({ forgiving }) => forgiving).map(({ text }) => text) : [],
        ),
      );
      t.deepEqual(
        kernel.refused.filter((line) => !pardoned.has(line)),
        [],
      );
      const left = diffState(kernel.state, wanted);
      if (hasChanges(left)) t.deepEqual(left, diffState(settle(NOTHING, wanted), wanted));
    }),
    { seed: 73, numRuns: 3000 },
  );
  t.pass();
});

test('script() never takes away an unreachable route, a rule or a route by the same object that stays wanted', (t) => {
  fc.assert(
    fc.property(plan, plan, (first, wanted) => {
      const kernel = new SimulatedKernel(settle(NOTHING, first));
      const lines = script(diffState(kernel.state, wanted), 'kernel');
      const keeps = (state: KernelState): string[] => [
        ...state.rules.map((rule) => JSON.stringify(rule)),
        ...state.routes.filter(({ kind }) => kind === 'unreachable').map((route) => JSON.stringify(route)),
      ];
      const both = new Set(keeps(kernel.state)).intersection(new Set(keeps(settle(NOTHING, wanted))));
      kernel.run(lines, () => {
        const now = new Set(keeps(kernel.state));
        t.true(both.isSubsetOf(now));
      });
    }),
    { seed: 74, numRuns: 500 },
  );
});

test('diffState() is nothing from a plan to itself, and everything goes in the end', (t) => {
  fc.assert(
    fc.property(plan, (wanted) => {
      const have = settle(NOTHING, wanted);
      t.false(hasChanges(diffState(have, wanted)));
      t.deepEqual(settle(have, EMPTY_STATE), NOTHING);
    }),
    { seed: 75, numRuns: 500 },
  );
});

/** The same plan with fewer ways: as when far ends stop answering. */
const fewer = (whole: NetworkState): fc.Arbitrary<NetworkState> =>
  fc
    .record({
      routes: some(whole.routes),
      members: fc.tuple(...whole.groups.map(({ members }) => fc.subarray([...members], { minLength: 1 }))),
      far4: some(whole.nftables?.sets['far4'] ?? []),
    })
    .map(({ routes: left, members, far4 }) => {
      const used = new Set(left.flatMap(({ nexthop }) => nexthop ?? []));
      const groups = whole.groups
        .map((group, at) => ({ ...group, members: members[at] ?? [] }))
        .filter(({ id }) => used.has(id));
      const ids = new Set([...used, ...groups.flatMap((group) => group.members)]);
      const nexthops = whole.nexthops.filter(({ id }) => ids.has(id));
      const nftables = whole.nftables && { ...whole.nftables, sets: { far4 } };
      return { ...whole, routes: left, groups, nexthops, nftables };
    });

test('changesBetween() leads from one plan to another as a look at the kernel would', (t) => {
  const pair = plan.chain((whole) => fc.tuple(fc.constant(whole), fewer(whole)));
  fc.assert(
    fc.property(pair, fc.boolean(), ([whole, part], grows) => {
      const [from, to] = grows ? [part, whole] : [whole, part];
      const kernel = new SimulatedKernel(settle(NOTHING, from));
      const changes = changesBetween(from, to);
      t.not(changes, undefined);
      kernel.run(changes === undefined ? [] : script(changes, 'kernel'));
      t.false(hasChanges(diffState(kernel.state, to)));
    }),
    { seed: 76, numRuns: 1000 },
  );
});

test('changesBetween() leaves to a look what a kernel may answer with changes of its own', (t) => {
  const changes: Partial<NetworkState>[] = [
    { links: [] },
    { addresses: [] },
    { rules: [] },
    { sysctls: {} },
    { nftables: undefined },
    { groups: GATEWAY.groups.map((group) => ({ ...group, buckets: 64 })) },
  ];
  for (const change of changes) t.is(changesBetween(GATEWAY, { ...GATEWAY, ...change }), undefined);
  const same = changesBetween(GATEWAY, structuredClone(GATEWAY));
  t.false(same === undefined || hasChanges(same));
});

test('diff() keeps the one that is as wanted where several have its key', (t) => {
  const by = {
    key: (one: string) => one.slice(0, 1),
    heldKey: (one: string) => one.slice(0, 1),
    same: (x: string, y: string) => x === y,
  };
  t.deepEqual(diff(['a1', 'a2', 'b1', 'c1'], ['a2', 'b2', 'd1'], by), {
    add: ['d1'],
    change: [{ from: 'b1', to: 'b2' }],
    remove: ['a1', 'c1'],
  });
});
