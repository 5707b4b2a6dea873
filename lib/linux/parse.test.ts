import test from 'ava';
import * as fc from 'fast-check';
import { forbiddingIn } from './forwarding.ts';
import { parseItems } from './json.ts';
import { parseAddresses, parseForwarding, parseLinks, parseNeighbours, parseNexthops } from './parse-ip.ts';
import { canonicalElement, parseCounters, parseTable, sealName } from './parse-nft.ts';
import { parseRoutes, parseRules } from './parse-route.ts';
import { parseSysctls, slashKey } from './parse-sysctl.ts';
import { parseMemory } from './sysctl-store.ts';

// Listings of iproute2 6.1 and nftables 1.0.6 on Linux 6.18; those of newer versions differ in fields that are not read.

const DEVICES = `[
{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"group":"default","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","preferred_life_time":4294967295}]},
{"ifindex":2,"ifname":"istioin","flags":["UP"],"mtu":1500,"linkinfo":{"info_kind":"geneve"},"addr_info":[]},
{"ifindex":3,"ifname":"ist-mine","flags":["UP"],"mtu":1500,"linkinfo":{"info_kind":"dummy"},"addr_info":[]},
{"ifindex":4,"ifname":"ist-link","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1450,"group":"default","link_type":"ether","address":"02:73:00:00:00:01","linkinfo":{"info_kind":"vxlan","info_data":{"id":473,"local":"192.0.2.1","port":8473,"learning":false}},"addr_info":[{"family":"inet","local":"169.254.73.1","prefixlen":32,"scope":"link","label":"ist-link","valid_life_time":4294967295,"preferred_life_time":4294967295},{"family":"inet6","local":"fe80::73:ff:fe00:1","prefixlen":64,"scope":"253","preferred_life_time":4294967295}]},
{"ifindex":5,"ifname":"ist-sib","flags":["BROADCAST"],"mtu":1430,"group":"0","address":"02:73:00:00:00:02","linkinfo":{"info_kind":"vxlan","info_data":{"id":474,"local6":"2001:db8::1","port":8473}},"addr_info":[]},
{"ifindex":6,"ifname":"ist-node","flags":["UP"],"mtu":1500,"group":"0","linkinfo":{"info_kind":"bridge","info_data":{}},"addr_info":[{"family":"inet6","local":"fd10:1::1","prefixlen":128,"scope":"0","nodad":true,"deprecated":true,"preferred_life_time":0}]},
{"ifindex":7,"ifname":"ist00","flags":["POINTOPOINT","MULTICAST","NOARP","UP"],"mtu":1440,"group":"73","linkinfo":{"info_kind":"tun","info_data":{"type":"tun"}},"addr_info":[]},
{"ifindex":8,"ifname":"ist01","flags":["POINTOPOINT","NOARP","UP"],"mtu":1440,"group":"73","linkinfo":{"info_kind":"wireguard"},"addr_info":[]}
]`;

test('parseLinks() reads our devices of every kind and no others', (t) => {
  t.deepEqual(
    parseLinks(parseItems(DEVICES, 'ip addr')).map((link) => ({ ...link })),
    [
      {
        kind: 'vxlan',
        name: 'ist-link',
        mtu: 1450,
        group: 0,
        up: true,
        userspace: false,
        vni: 473,
        port: 8473,
        local: '192.0.2.1',
        mac: '02:73:00:00:00:01',
      },
      {
        kind: 'vxlan',
        name: 'ist-sib',
        mtu: 1430,
        group: 0,
        up: false,
        userspace: false,
        vni: 474,
        port: 8473,
        local: '2001:db8::1',
        mac: '02:73:00:00:00:02',
      },
      { kind: 'bridge', name: 'ist-node', mtu: 1500, group: 0, up: true, userspace: false },
      { kind: 'wireguard', name: 'ist00', mtu: 1440, group: 73, up: true, userspace: true },
      { kind: 'wireguard', name: 'ist01', mtu: 1440, group: 73, up: true, userspace: false },
    ] as unknown[],
  );
});

test('parseAddresses() reads scope and deprecation, by name and by number', (t) => {
  t.deepEqual(parseAddresses(parseItems(DEVICES, 'ip addr')) as unknown[], [
    { device: 'ist-link', address: '169.254.73.1', prefix: 32, scope: 'link', deprecated: false },
    { device: 'ist-link', address: 'fe80::73:ff:fe00:1', prefix: 64, scope: 'link', deprecated: false },
    { device: 'ist-node', address: 'fd10:1::1', prefix: 128, scope: 'global', deprecated: true },
  ]);
});

test('parseNeighbours() and parseForwarding() read what stands on our devices', (t) => {
  const neighbours = `[{"dst":"fe80::73:2","dev":"ist-link","lladdr":"02:73:00:00:00:02","state":["PERMANENT"]},{"dst":"192.0.2.9","dev":"eth0","lladdr":"02:00:00:00:00:09","state":["PERMANENT"]}]`;
  t.deepEqual(parseNeighbours(parseItems(neighbours, '')) as unknown[], [
    { device: 'ist-link', address: 'fe80::73:2', mac: '02:73:00:00:00:02' },
  ]);
  const fdb = `[{"mac":"33:33:00:00:00:01","ifname":"ist-node","flags":["self"],"state":"permanent"},{"mac":"02:73:00:00:00:02","ifname":"ist-link","dst":"192.0.2.2","flags":["self"],"state":"permanent"},{"mac":"02:73:00:00:00:02","ifname":"flannel.1","dst":"192.0.2.2","flags":["self"],"state":"permanent"}]`;
  t.deepEqual(parseForwarding(parseItems(fdb, '')) as unknown[], [
    { device: 'ist-link', mac: '02:73:00:00:00:02', outer: '192.0.2.2' },
  ]);
});

const NEXTHOPS = `[{"id":5,"dev":"eth0","scope":"254","protocol":"186","flags":[]},
{"id":7400000,"dev":"ist00","scope":"254","protocol":"73","flags":[]},
{"id":7600000,"dev":"ist00","scope":"253","protocol":"73","flags":[]},
{"id":7400100,"gateway":"169.254.73.2","dev":"ist-link","scope":"253","protocol":"73","flags":["onlink"]},
{"id":7401002,"group":[{"id":7400000},{"id":7400100}],"type":"resilient","resilient_args":{"buckets":127,"idle_timer":60,"unbalanced_timer":0,"unbalanced_time":0},"protocol":"73","flags":[]},
{"id":7401003,"group":[{"id":7400000,"weight":3}],"protocol":"73","flags":[]}]`;

test('parseNexthops() tells families, owners and hand-made weights', (t) => {
  const { nexthops, groups } = parseNexthops(parseItems(NEXTHOPS, ''), new Set([7600000]));
  t.deepEqual(nexthops as unknown[], [
    { id: 5, family: 4, device: 'eth0', ours: false },
    { id: 7400000, family: 4, device: 'ist00', ours: true },
    { id: 7600000, family: 6, device: 'ist00', ours: true },
    { id: 7400100, family: 4, device: 'ist-link', via: '169.254.73.2', onlink: true, ours: true },
  ]);
  t.deepEqual(groups, [
    { id: 7401002, members: [7400000, 7400100], buckets: 127, ours: true, foreign: '' },
    { id: 7401003, members: [7400000], ours: true, foreign: 'weights' },
  ]);
});

const ROUTES4 = `[{"dst":"10.2.0.0/16","nhid":7401002,"table":"7301","prefsrc":"10.1.1.1","metric":100,"flags":[],"metrics":[{"mtu":1440}],"nexthops":[{"dev":"ist00","weight":1,"flags":[]}]},
{"type":"7","dst":"10.2.0.0/16","table":"7301","metric":4294967295,"flags":[]},
{"dst":"100.64.1.1","gateway":"169.254.73.2","dev":"ist-link","table":"7302","flags":["onlink"]},
{"type":"unreachable","dst":"default","table":"7303","metric":4294967294,"flags":[]},
{"dst":"10.9.0.0/16","table":"7301","tos":"0x10","flags":[],"nexthops":[{"dev":"eth0"},{"dev":"eth1"}]},
{"dst":"10.8.0.0/16","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","table":"7301","flags":[],"metrics":[{"advmss":1200}]}]`;
const ROUTES6 = `[{"dst":"fd10:3::/32","dev":"ist00","table":"7301","metric":1024,"flags":[],"pref":"medium"},
{"type":"7","dst":"default","dev":"lo","table":"7303","metric":4294967294,"flags":[],"pref":"medium"}]`;

test('parseRoutes() reads objects, devices, metrics and what no plan wants', (t) => {
  const common = { family: 4, protocol: 73, foreign: '' };
  t.deepEqual(parseRoutes(parseItems(ROUTES4, ''), { family: 4, protocol: 73 }) as unknown[], [
    {
      ...common,
      kind: 'unicast',
      destination: '10.2.0.0/16',
      table: 7301,
      metric: 100,
      nexthop: 7401002,
      source: '10.1.1.1',
      mtu: 1440,
    },
    { ...common, kind: 'unreachable', destination: '10.2.0.0/16', table: 7301, metric: 4294967295 },
    {
      ...common,
      kind: 'unicast',
      destination: '100.64.1.1/32',
      table: 7302,
      metric: 0,
      device: 'ist-link',
      via: '169.254.73.2',
      onlink: true,
    },
    { ...common, kind: 'unreachable', destination: '0.0.0.0/0', table: 7303, metric: 4294967294 },
    {
      ...common,
      kind: 'unicast',
      destination: '10.9.0.0/16',
      table: 7301,
      metric: 0,
      tos: 16,
      foreign: 'nexthops',
    },
    {
      ...common,
      kind: 'unicast',
      destination: '10.8.0.0/16',
      table: 7301,
      metric: 0,
      device: 'eth0',
      via: 'fe80::1',
      foreign: 'advmss',
    },
  ]);
  t.deepEqual(parseRoutes(parseItems(ROUTES6, ''), { family: 6, protocol: 3, table: 7301 }) as unknown[], [
    {
      family: 6,
      protocol: 3,
      foreign: '',
      kind: 'unicast',
      destination: 'fd10:3::/32',
      table: 7301,
      metric: 1024,
      device: 'ist00',
    },
    {
      family: 6,
      protocol: 3,
      foreign: '',
      kind: 'unreachable',
      destination: '::/0',
      table: 7303,
      metric: 4294967294,
    },
  ]);
});

test('parseRules() reads ours and leaves other people’s', (t) => {
  const rules = `[{"priority":0,"src":"all","table":"255","protocol":"kernel"},
{"priority":300,"src":"100.64.0.0","srclen":13,"table":"7310","protocol":"73"},
{"priority":301,"src":"all","fwmark":"0","fwmask":"0x300000","table":"7301","protocol":"73"},
{"priority":304,"src":"all","fwmark":"0x200000","fwmask":"0x300000","table":"254","suppress_prefixlen":0,"protocol":"73"},
{"priority":305,"src":"all","fwmark":"0x200000","fwmask":"0x300000","action":"7","protocol":"73"},
{"priority":400,"src":"192.0.2.1","iif":"eth0","table":"254","protocol":"73"},
{"priority":32766,"src":"all","table":"254"}]`;
  t.deepEqual(parseRules(parseItems(rules, ''), 4) as unknown[], [
    { family: 4, priority: 300, from: '100.64.0.0/13', action: { lookup: 7310 }, foreign: '' },
    { family: 4, priority: 301, mark: { value: 0, mask: 0x300000 }, action: { lookup: 7301 }, foreign: '' },
    {
      family: 4,
      priority: 304,
      mark: { value: 0x200000, mask: 0x300000 },
      action: { lookup: 254, suppressPrefix: 0 },
      foreign: '',
    },
    {
      family: 4,
      priority: 305,
      mark: { value: 0x200000, mask: 0x300000 },
      action: 'unreachable',
      foreign: '',
    },
    { family: 4, priority: 400, from: '192.0.2.1/32', action: { lookup: 254 }, foreign: 'iif' },
  ]);
});

const chain = (name: string, handle: number): unknown => ({
  chain: { family: 'inet', table: 'isthmus', name, handle },
});
const listing = (...entries: unknown[]): string =>
  JSON.stringify({ nftables: [{ metainfo: { version: '1.0.6' } }, ...entries] });
const rule = (expr: unknown, handle: number): unknown => ({
  rule: { family: 'inet', chain: 'raw', handle, expr },
});
const set = (elem: unknown): unknown => ({
  set: { name: 'far4', type: 'ipv4_addr', handle: 4, flags: ['interval'], elem },
});

test('parseTable() sees through handles, counts and elements', (t) => {
  const one = parseTable(
    listing(
      set(['10.0.0.1']),
      chain('raw', 1),
      rule([{ counter: { packets: 1, bytes: 60 } }, { drop: null }], 7),
    ),
    'isthmus',
  );
  const other = parseTable(
    listing(set([]), chain('raw', 9), rule([{ counter: { packets: 9, bytes: 600 } }, { drop: null }], 8)),
    'isthmus',
  );
  const damaged = parseTable(listing(set([]), chain('raw', 9), rule([{ accept: null }], 8)), 'isthmus');
  t.is(one.listing, other.listing);
  t.not(one.listing, damaged.listing);
});

test('parseTable() takes one seal, and two for none', (t) => {
  const seal = sealName('0123456789abcd', 'dcba9876543210');
  const bare = parseTable(listing(chain('raw', 1)), 'isthmus');
  const sealed = parseTable(listing(chain('raw', 1), chain(seal, 2)), 'isthmus');
  t.is(bare.seal, undefined);
  t.deepEqual(sealed.seal, { body: '0123456789abcd', listing: 'dcba9876543210' });
  t.is(sealed.listing, bare.listing);
  const twice = listing(chain(seal, 2), chain(sealName('1123456789abcd', 'dcba9876543210'), 3));
  t.deepEqual(parseTable(twice, 'isthmus').seal, { body: '', listing: '' });
});

test('parseTable() reads elements as nft prints them, sorted', (t) => {
  const elements = [
    { prefix: { addr: '10.2.0.0', len: 16 } },
    '10.0.0.1',
    { range: ['10.10.0.0', '10.10.0.5'] },
    { elem: { val: '10.3.0.1', counter: { packets: 0, bytes: 0 } } },
    { concat: ['10.0.0.9', 53] },
  ];
  t.deepEqual(parseTable(listing(set(elements)), 'isthmus').sets, {
    far4: ['10.0.0.1', '10.0.0.9 . 53', '10.10.0.0-10.10.0.5', '10.2.0.0/16', '10.3.0.1'],
  });
});

test('canonicalElement() drops the prefix length of one address', (t) => {
  t.is(canonicalElement('10.0.0.1/32'), '10.0.0.1');
  t.is(canonicalElement('fd10::1/128'), 'fd10::1');
  t.is(canonicalElement('10.0.0.0/8'), '10.0.0.0/8');
});

test('parseCounters() reads named counters', (t) => {
  const text = listing({ counter: { name: 'bad', table: 'isthmus', handle: 3, packets: 4, bytes: 240 } });
  t.deepEqual(parseCounters(text), { bad: { packets: 4, bytes: 240 } });
});

test('slashKey() keeps the dots of a device name', (t) => {
  t.is(slashKey('net.ipv4.ip_forward'), 'net/ipv4/ip_forward');
  t.is(slashKey('net.ipv4.conf.eth0.100.rp_filter'), 'net/ipv4/conf/eth0.100/rp_filter');
  t.is(slashKey('net.ipv6.icmp.ratemask'), 'net/ipv6/icmp/ratemask');
});

test('parseSysctls() gives values under the keys that were asked for', (t) => {
  const printed =
    'net.ipv4.conf.eth0/100.rp_filter = 2\nnet.ipv4.ip_local_port_range = 32768\t60999\nnet.ipv4.ip_forward = 1\n';
  const asked = ['net.ipv4.conf.eth0.100.rp_filter', 'net.ipv4.ip_local_port_range', 'net.ipv4.nothing'];
  t.deepEqual(parseSysctls(printed, asked), {
    'net.ipv4.conf.eth0.100.rp_filter': '2',
    'net.ipv4.ip_local_port_range': '32768 60999',
  });
});

const PARSERS: Readonly<Record<string, (text: string) => unknown>> = {
  parseLinks: (text) => parseLinks(parseItems(text, '')),
  parseAddresses: (text) => parseAddresses(parseItems(text, '')),
  parseNeighbours: (text) => parseNeighbours(parseItems(text, '')),
  parseForwarding: (text) => parseForwarding(parseItems(text, '')),
  parseNexthops: (text) => parseNexthops(parseItems(text, ''), new Set()),
  parseRoutes: (text) => parseRoutes(parseItems(text, ''), { family: 4, protocol: 73 }),
  parseRules: (text) => parseRules(parseItems(text, ''), 6),
  parseTable: (text) => parseTable(text, 'isthmus'),
  parseCounters,
};

/** Fields as the programs print them, with values as nobody prints them. */
const FIELDS = [
  'ifname dst dev mac id group type gateway via flags metrics nexthops nhid table metric tos prefsrc protocol priority',
  'src srclen fwmark fwmask action suppress_prefixlen linkinfo info_kind info_data addr_info local prefixlen scope mtu',
  'nftables chain set elem name prefix range concat counter packets val addr len lladdr port resilient_args buckets',
].flatMap((line) => line.split(' '));
const word = fc.constantFrom(
  'ist00',
  'ist-node',
  'vxlan',
  'tun',
  '73',
  'default',
  '10.0.0.0/8',
  '::1',
  'all',
  'x',
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, -1, 1.5, 73, 7400000),
    word,
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...FIELDS), tie('tree'), { maxKeys: 6 }),
  ),
}));

function refusesOrReads(parse: (text: string) => unknown, text: string): boolean {
  try {
    parse(text);
    return true;
  } catch (error) {
    return error instanceof SyntaxError && error.message.startsWith('Cannot parse ');
  }
}

for (const [name, parse] of Object.entries(PARSERS)) {
  test(`${name}() refuses strange listings with a reason`, (t) => {
    const strange = fc.oneof(
      fc.array(fc.dictionary(fc.constantFrom(...FIELDS), tree, { maxKeys: 8 }), { maxLength: 3 }),
      fc.record({ nftables: fc.array(fc.dictionary(fc.constantFrom(...FIELDS), tree)) }),
      tree,
    );
    fc.assert(
      fc.property(strange, (value) => refusesOrReads(parse, JSON.stringify(value))),
      { seed: 73, numRuns: 1000 },
    );
    fc.assert(
      fc.property(fc.string(), (text) => refusesOrReads(parse, text)),
      { seed: 74 },
    );
    t.pass();
  });
  test(`${name}() refuses cut-off listings with a reason`, (t) => {
    for (const text of [DEVICES, NEXTHOPS, ROUTES4, ROUTES6])
      for (let end = 1; end < text.length - 1; end += 7) t.true(refusesOrReads(parse, text.slice(0, end)));
  });
}

test('parseMemory() reads what was remembered and refuses anything else', (t) => {
  const good = '{"net.ipv4.ip_forward": {"before": "0", "ours": "1"}}';
  t.deepEqual(parseMemory(good), { 'net.ipv4.ip_forward': { before: '0', ours: '1' } });
  for (let end = 0; end < good.length; end++) t.is(parseMemory(good.slice(0, end)), undefined);
  for (const bad of ['[]', 'null', '{"a": 1}', '{"a": {"before": 1, "ours": "1"}}'])
    t.is(parseMemory(bad), undefined);
});

const FIREWALLS = `table inet isthmus {
	chain forward {
		type filter hook forward priority 5; policy accept;
		meta mark 0x00300000 counter packets 9 bytes 800 drop
	}
}
table ip filter {
	chain DOCKER {
		iifname != "docker0" oifname "docker0" counter packets 4 bytes 240 drop
	}

	chain INPUT {
		type filter hook input priority filter; policy drop;
		tcp dport 23 drop
	}

	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		counter packets 20 bytes 1800 jump DOCKER
		ip saddr 203.0.113.0/24 counter packets 0 bytes 0 drop
		ip saddr 10.0.0.0/8 accept comment "do not drop"
	}
}
table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		iifname vmap { "eth0" : goto zone }
		reject with icmpx admin-prohibited
	}

	chain zone {
		ct state { invalid } drop
	}

	chain nobody_goes_here {
		drop
	}
}
`;

test('forbiddingIn() names what other tables do to forwarded packets, whoever jumps there', (t) => {
  t.deepEqual(forbiddingIn(FIREWALLS), [
    'chain FORWARD of table ip filter: policy drop',
    'chain filter_FORWARD of table inet firewalld: reject with icmpx admin-prohibited',
    'chain DOCKER of table ip filter: iifname != "docker0" oifname "docker0" counter packets 4 bytes 240 drop',
    'chain zone of table inet firewalld: ct state { invalid } drop',
  ]);
  t.deepEqual(forbiddingIn(''), []);
});
