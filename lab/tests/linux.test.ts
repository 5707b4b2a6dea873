import test from 'ava';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { addressCidr, addressAt, cidrOf, parseAddress, parseCidr } from '#lib/ip';
import type { Applied, NetworkState, Route, Run } from '#lib/linux';
import { applyState, cleanState, CommandError, EMPTY_STATE, readCounters, readState } from '#lib/linux';
import { openWireGuard } from '#lib/wireguard';
import { Machine } from './machine.ts';

const a = parseAddress;
const c = parseCidr;
const MARK = 0x300000;

/** A host with a network of its own, and with things that look a little like ours. */
async function host(): Promise<Machine> {
  const machine = await Machine.start();
  await machine.sh(`
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip link add e0 type veth peer name e1; ip link set e0 up; ip link set e1 up
ip addr add 192.0.2.1/24 dev e0; ip -6 addr add 2001:db8::1/64 dev e0 nodad
ip route add default via 192.0.2.254; ip -6 route add default via 2001:db8::fe
ip link add istioin type bridge; ip link set istioin up; ip addr add 10.99.0.1/24 dev istioin
ip nexthop add id 5 dev e0; ip nexthop add id 7999990 dev e0 protocol 186
ip route add 10.98.0.0/16 nhid 5 table 100; ip route add 10.97.0.0/16 dev e0 table 7350 proto 42
ip rule add priority 301 from 10.98.0.0/16 lookup 100; ip -6 rule add priority 290 lookup 100
ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev e0 nud permanent
nft -f - <<N
table inet other {
  set far4 { type ipv4_addr; elements = { 10.0.0.1 }; }
  chain f { type filter hook forward priority 0; ip saddr @far4 counter drop; }
}
N
`);
  return machine;
}

const BODY = `
  set far4 { type ipv4_addr; flags interval; }
  set far6 { type ipv6_addr; flags interval; }
  counter bad { }
  chain raw { type filter hook prerouting priority raw;
    iifgroup 73 meta mark set meta mark and 0xffcfffff or 0x200000
    ip saddr @far4 iifgroup != 73 counter name bad drop
    ip6 saddr @far6 iifgroup != 73 counter name bad drop
  }
  chain output { type filter hook output priority mangle;
    meta mark & ${MARK} == 0x100000 ip version 4 ip frag-off set 0x4000
    ip daddr 127.0.0.9 counter name bad
  }`;

/** What a gateway holds, with so many remote clusters. */
function gateway(clusters: number): NetworkState {
  const remotes = Array.from({ length: clusters }, (_, at) => {
    const four = cidrOf(addressAt(c('10.128.0.0/9'), BigInt(at + 1) << 12n), 20);
    const six = cidrOf(addressAt(c('fd10::/16'), BigInt(at + 1) << 80n), 48);
    return { index: at + 1, four, six };
  });
  const nexthops = [
    { id: 7400000, family: 4, device: 'ist00' },
    { id: 7400001, family: 4, device: 'ist01' },
    { id: 7400100, family: 4, device: 'ist-sib', via: a('169.254.73.2'), onlink: true },
    { id: 7600000, family: 6, device: 'ist00' },
    { id: 7600001, family: 6, device: 'ist01' },
    { id: 7600100, family: 6, device: 'ist-sib', via: a('fe80::73:2'), onlink: true },
  ] as const;
  return {
    links: [
      { kind: 'wireguard', name: 'ist00', mtu: 1440, group: 73 },
      { kind: 'wireguard', name: 'ist01', mtu: 1440, group: 73 },
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
      {
        kind: 'vxlan',
        name: 'ist-link',
        mtu: 1430,
        group: 0,
        vni: 473,
        port: 8473,
        local: a('2001:db8::1'),
        mac: '02:73:00:00:00:01',
      },
      { kind: 'bridge', name: 'ist-node', mtu: 1500, group: 0 },
    ],
    addresses: [
      { device: 'ist-node', address: a('10.1.0.1'), prefix: 32, scope: 'global', deprecated: false },
      { device: 'ist-node', address: a('fd20::1'), prefix: 128, scope: 'global', deprecated: false },
      { device: 'ist00', address: a('100.64.1.0'), prefix: 32, scope: 'link', deprecated: false },
      { device: 'ist00', address: a('fdfa:1:1::1'), prefix: 128, scope: 'global', deprecated: true },
      { device: 'ist01', address: a('100.64.1.0'), prefix: 32, scope: 'link', deprecated: false },
      { device: 'ist-sib', address: a('169.254.73.1'), prefix: 32, scope: 'link', deprecated: false },
    ],
    neighbours: ['169.254.73.2', 'fe80::73:2'].map((address) => ({
      device: 'ist-sib',
      address: a(address),
      mac: '02:73:00:00:00:02',
      outer: a('192.0.2.2'),
    })),
    nexthops,
    groups: remotes.flatMap(({ index }) => [
      { id: 7401000 + index, members: [7400000, 7400001], buckets: 127 },
      { id: 7601000 + index, members: [7600000, 7600001], buckets: 127 },
    ]),
    routes: [
      ...remotes.flatMap(({ index, four, six }): Route[] => [
        {
          kind: 'unicast',
          destination: four,
          table: 7301,
          metric: 100,
          nexthop: 7401000 + index,
          source: a('10.1.0.1'),
          mtu: 1440,
        },
        {
          kind: 'unicast',
          destination: four,
          table: 7301,
          metric: 200,
          nexthop: 7400100,
          source: a('10.1.0.1'),
        },
        { kind: 'unreachable', destination: four, table: 7301, metric: 4294967295 },
        {
          kind: 'unicast',
          destination: six,
          table: 7301,
          metric: 100,
          nexthop: 7601000 + index,
          source: a('fd20::1'),
          mtu: 1440,
        },
        { kind: 'unicast', destination: six, table: 7301, metric: 200, nexthop: 7600100 },
        { kind: 'unreachable', destination: six, table: 7301, metric: 4294967295 },
      ]),
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
        destination: c('fdfa:1:2::/48'),
        table: 7301,
        metric: 0,
        device: 'ist00',
        source: a('fdfa:1:1::1'),
      },
      {
        kind: 'unicast',
        destination: addressCidr(a('100.64.1.1')),
        table: 7302,
        metric: 0,
        device: 'e0',
        via: a('192.0.2.3'),
      },
      { kind: 'unreachable', destination: c('0.0.0.0/0'), table: 7303, metric: 4294967294 },
      { kind: 'unreachable', destination: c('::/0'), table: 7303, metric: 4294967294 },
    ],
    rules: ([4, 6] as const).flatMap((family) => [
      { family, priority: 301, mark: { value: 0, mask: MARK }, action: { lookup: 7301 } },
      {
        family,
        priority: 304,
        mark: { value: 0x200000, mask: MARK },
        action: { lookup: 254, suppressPrefix: 0 },
      },
      { family, priority: 305, mark: { value: 0x200000, mask: MARK }, action: 'unreachable' } as const,
      {
        family,
        priority: 300,
        from: family === 4 ? c('100.64.0.0/13') : c('fdfa:1::/48'),
        action: { lookup: 7310 },
      },
    ]),
    sysctls: {
      'net.ipv4.fib_multipath_hash_policy': '1',
      'net.ipv6.fib_multipath_hash_policy': '1',
      'net.ipv4.conf.e0.rp_filter': '2',
      'net.ipv4.conf.ist00.rp_filter': '2',
      'net.ipv4.ip_forward': '1',
    },
    nftables: {
      name: 'isthmus',
      body: BODY,
      sets: { far4: remotes.map(({ four }) => four), far6: remotes.map(({ six }) => six) },
    },
  };
}

/** What a plan is applied with on this machine. */
async function applier(machine: Machine): Promise<(wanted: NetworkState, run?: Run) => Promise<Applied>> {
  const { wireguard } = await openWireGuard(machine.run, { logDir: machine.stateDir });
  const { stateDir } = machine;
  return (wanted, run = machine.run) => applyState(run, wanted, { stateDir, wireguard });
}

const LISTINGS = [
  'ip -d -j link',
  'ip -d -j addr',
  'ip -4 -d -j route show table all',
  'ip -6 -d -j route show table all',
  'ip -4 -d -j rule',
  'ip -6 -d -j rule',
  'ip -d -j nexthop',
  'ip -d -j neigh show nud permanent',
  'bridge -d -j fdb',
  'nft -j list ruleset',
];
const SYSCTLS =
  'sysctl -a -r "^net.(ipv4|ipv6).(conf|fib|ip_forward)" 2>/dev/null | grep -v -e stable_secret -e random_';

/** What differs between two moments, or after something was made anew, without anybody having changed it. */
const MOVING =
  /^(?:ifindex|handle|packets|bytes|bridge_id|root_id|\w+_timer_left|hello_timer|tcn_timer|topology_change_timer|gc_timer|unbalanced_time|valid_life_time|expires)$/;

/** Everything on a host that we could have changed, and the rest of its network: one sorted list a listing. */
async function shape(machine: Machine): Promise<string[]> {
  const listed = await Promise.all(LISTINGS.map((line) => machine.sh(line)));
  return [...listed.map(lines), await machine.sh(SYSCTLS)];
}

function lines(text: string): string {
  const value: unknown = JSON.parse(text);
  const list: unknown = Array.isArray(value) ? value : Object.values(value ?? {})[0];
  const texts = (Array.isArray(list) ? list : []).map((entry) => JSON.stringify(entry, steady));
  const isOwn = (line: string): boolean =>
    !/"(?:fe80::[0-9a-f:]+(?<!:2)|ff00::\/8)"|"(?:33:33|01:00:5e):|"mac":"(?!02:73:00:)/.test(line);
  // Rules of a chain keep their order.
  const rules = texts
    .filter((line) => line.startsWith('{"rule":'))
    .map((line, at) => `${String(at).padStart(3, '0')} ${line}`);
  return [...texts.filter((line) => !line.startsWith('{"rule":') && isOwn(line)), ...rules].sort().join('\n');
}

/** Random MAC addresses of new bridges are left out, and the kernel's link-local addresses that follow from them. */
function steady(this: unknown, key: string, value: unknown): unknown {
  if (MOVING.test(key)) return undefined;
  if (key === 'address' && typeof value === 'string' && !value.startsWith('02:73:00:')) return undefined;
  if (key !== 'addr_info' || !Array.isArray(value)) return value;
  const entries: readonly unknown[] = value;
  return entries
    .map((entry) => JSON.stringify(entry))
    .filter((entry) => !/"local":"fe80/.test(entry))
    .sort();
}

test('applyState() changes an empty host once and then says that nothing changed', async (t) => {
  await using machine = await host();
  const apply = await applier(machine);
  const first = await apply(gateway(3));
  t.deepEqual(first.failures, []);
  t.is(first.outcome, 'changed');
  const second = await apply(gateway(3));
  t.is(second.outcome, 'unchanged');
});

test('applyState() leaves a table that is as wanted alone, counts included', async (t) => {
  await using machine = await host();
  const apply = await applier(machine);
  await apply(gateway(2));
  await machine.sh('ping -c 2 -i 0.1 -W 1 127.0.0.9');
  const before = await readCounters(machine.run, 'isthmus');
  t.is(before['bad']?.packets, 2);
  // Elements come and go without the table being touched.
  await apply(gateway(4));
  await apply(gateway(1));
  t.deepEqual(await readCounters(machine.run, 'isthmus'), before);
  t.deepEqual(await readCounters(machine.run, 'nothing'), {});
});

test('applyState() goes from one plan to another, and back to the same kernel', async (t) => {
  await using machine = await host();
  const apply = await applier(machine);
  await apply(gateway(3));
  const three = await shape(machine);
  const other: NetworkState = {
    ...gateway(2),
    links: gateway(2).links.map((link) =>
      link.kind === 'vxlan' ? { ...link, vni: link.vni + 10 } : { ...link, mtu: 1400 },
    ),
    addresses: gateway(2).addresses.map((one) =>
      one.prefix === 32 ? { ...one, scope: 'global' as const } : { ...one, deprecated: !one.deprecated },
    ),
    groups: gateway(2).groups.map(({ id, members }) => ({ id, members: members.slice(1) })),
    rules: gateway(2).rules.slice(2),
    nftables: { name: 'isthmus', body: `${BODY}\n  chain more { }`, sets: { far4: ['10.130.0.0/15'] } },
  };
  t.deepEqual((await apply(other)).failures, []);
  t.is((await apply(other)).outcome, 'unchanged');
  t.deepEqual((await apply(gateway(3))).failures, []);
  t.is((await apply(gateway(3))).outcome, 'unchanged');
  t.deepEqual(await shape(machine), three);
});

const DAMAGE: Readonly<Record<string, string>> = {
  'a route deleted': 'ip route del unreachable 10.128.16.0/20 table 7301 metric 4294967295',
  'all routes of a table deleted': 'ip route flush table 7301 || true; ip -6 route flush table 7301 || true',
  'a route led elsewhere': 'ip route replace 10.128.16.0/20 dev e0 table 7301 metric 100 proto 73',
  'a route’s mtu changed':
    'ip route replace 10.128.16.0/20 nhid 7401001 src 10.1.0.1 mtu 1300 table 7301 metric 100 proto 73',
  'a route of another protocol':
    'ip route replace 10.128.16.0/20 nhid 7401001 src 10.1.0.1 mtu 1440 table 7301 metric 100 proto static',
  'a stranger’s route in our table':
    'ip route add 10.128.16.0/24 dev e0 table 7301; ip -6 route add fd10:9::/64 dev e0 table 7302',
  'a route with lock and window':
    'ip route replace 10.128.16.0/20 nhid 7401001 src 10.1.0.1 mtu 1440 window 4000 table 7301 metric 100 proto 73',
  'a second route of the same key': 'ip route append 10.128.16.0/20 dev e0 table 7301 metric 100 proto 73',
  'a route of ours in a foreign table': 'ip route add 10.55.0.0/16 dev e0 table 300 proto 73',
  'rules deleted': 'ip rule del priority 305; ip -6 rule del priority 301',
  'rules added':
    'ip rule add priority 310 lookup 7302 protocol 73; ip -6 rule add priority 299 from fd10::/16 iif e0 lookup 7301 protocol 73',
  'a nexthop deleted': 'ip nexthop del id 7400000',
  'all nexthops deleted': 'ip nexthop flush protocol 73',
  'a nexthop led elsewhere': 'ip nexthop replace id 7400000 dev e0 protocol 73',
  'a nexthop of nobody': 'ip nexthop replace id 7400000 dev ist00',
  'a nexthop too many': 'ip nexthop add id 7400077 dev e0 protocol 73',
  'a group with one member less':
    'ip nexthop replace id 7401001 group 7400000 type resilient buckets 127 idle_timer 60 protocol 73',
  'a group with weights':
    'ip nexthop replace id 7401001 group 7400000,3/7400001 type resilient buckets 127 idle_timer 60 protocol 73',
  'a group with another timer':
    'ip nexthop replace id 7401001 group 7400000/7400001 type resilient buckets 127 idle_timer 9 protocol 73',
  'a group of another kind':
    'ip nexthop del id 7401001; ip nexthop add id 7401001 group 7400000/7400001 protocol 73',
  'an address deleted': 'ip addr del 10.1.0.1/32 dev ist-node; ip -6 addr del fdfa:1:1::1/128 dev ist00',
  'an address added': 'ip addr add 10.66.0.1/24 dev ist-node; ip -6 addr add fd66::1/64 dev ist-node nodad',
  'an address no longer deprecated': 'ip -6 addr change fdfa:1:1::1/128 dev ist00 preferred_lft forever',
  'a neighbour deleted': 'ip neigh del 169.254.73.2 dev ist-sib',
  'a neighbour changed': 'ip neigh replace 169.254.73.2 lladdr 02:00:00:00:00:66 dev ist-sib nud permanent',
  'a neighbour added': 'ip neigh add 169.254.73.66 lladdr 02:00:00:00:00:66 dev ist-sib nud permanent',
  'a forwarding entry deleted': 'bridge fdb del 02:73:00:00:00:02 dev ist-sib dst 192.0.2.2',
  'a forwarding entry changed': 'bridge fdb replace 02:73:00:00:00:02 dev ist-sib dst 192.0.2.66',
  'forwarding entries added':
    'bridge fdb add 02:73:00:00:00:66 dev ist-sib dst 192.0.2.66; bridge fdb append 00:00:00:00:00:00 dev ist-sib dst 192.0.2.67; bridge fdb append 00:00:00:00:00:00 dev ist-sib dst 192.0.2.68',
  'a device with another mtu and group': 'ip link set ist00 mtu 1300; ip link set dev ist00 group 5',
  'a device down': 'ip link set ist00 down',
  'a device down and up': 'ip link set ist00 down; ip link set ist00 up',
  'the uplink down and up':
    'ip link set e0 down; ip link set e0 up; ip route add default via 192.0.2.254; ip -6 addr replace 2001:db8::1/64 dev e0 nodad; ip -6 route add default via 2001:db8::fe; ip nexthop replace id 5 dev e0; ip nexthop replace id 7999990 dev e0 protocol 186; ip route replace 10.98.0.0/16 nhid 5 table 100; ip route replace 10.97.0.0/16 dev e0 table 7350 proto 42; ip neigh replace 192.0.2.77 lladdr 02:00:00:00:00:77 dev e0 nud permanent',
  'a VXLAN device deleted': 'ip link del ist-sib',
  'a VXLAN device with another id':
    'ip link del ist-sib; ip link add ist-sib type vxlan id 9 dstport 8473 local 192.0.2.1; ip link set ist-sib up',
  'a VXLAN device with another MAC address': 'ip link set ist-sib address 02:00:00:00:00:66',
  'a bridge deleted': 'ip link del ist-node',
  'a tunnel deleted': 'ip link del ist00',
  'all devices deleted': 'for d in ist00 ist01 ist-sib ist-link ist-node; do ip link del $d; done',
  'a device too many': 'ip link add ist-more type bridge; ip addr add 10.66.0.1/24 dev ist-more',
  'the table deleted': 'nft delete table inet isthmus',
  'a rule of the table deleted':
    'nft delete rule inet isthmus raw handle $(nft -a list chain inet isthmus raw | sed -n "s/.*far4.*handle //p")',
  'a rule of the table added': 'nft insert rule inet isthmus raw accept',
  'a chain emptied': 'nft flush chain inet isthmus raw',
  'the seal deleted':
    'nft delete chain inet isthmus $(nft list table inet isthmus | sed -n "s/.*chain \\(seal_[0-9a-f_]*\\).*/\\1/p")',
  'elements deleted and added':
    'nft delete element inet isthmus far4 { 10.128.16.0/20 }; nft add element inet isthmus far4 { 10.66.0.0/16 }; nft add element inet isthmus far6 { fd66::1 }',
  'sysctls changed':
    'sysctl -qw net.ipv4.fib_multipath_hash_policy=0 net.ipv4.conf.e0.rp_filter=1 net.ipv4.conf.ist00.rp_filter=1',
  'everything at once':
    'nft flush table inet isthmus; ip nexthop flush protocol 73; ip link del ist00; ip rule del priority 301 fwmark 0/0x300000; sysctl -qw net.ipv4.conf.e0.rp_filter=0',
};

test('applyState() repairs what was damaged by hand, in one pass', async (t) => {
  await using machine = await host();
  const apply = await applier(machine);
  await apply(gateway(2));
  const whole = await shape(machine);
  for (const [what, line] of Object.entries(DAMAGE)) {
    await machine.sh(line);
    const { outcome, failures } = await apply(gateway(2));
    t.deepEqual(failures, [], what);
    t.is(outcome, 'changed', what);
    t.deepEqual(await shape(machine), whole, what);
    t.is((await apply(gateway(2))).outcome, 'unchanged', what);
  }
});

test('cleanState() leaves a host as it was before', async (t) => {
  await using machine = await host();
  const apply = await applier(machine);
  const before = await shape(machine);
  await apply(gateway(3));
  t.notDeepEqual(await shape(machine), before);
  const { outcome, failures } = await cleanState(machine.run, { stateDir: machine.stateDir });
  t.deepEqual(failures, []);
  t.is(outcome, 'changed');
  t.deepEqual(await shape(machine), before);
  t.is((await cleanState(machine.run, { stateDir: machine.stateDir })).outcome, 'unchanged');
  t.is(await readFile(join(machine.stateDir, 'sysctls.json'), 'utf8'), '{}\n');
});

test('cleanState() neither lowers forwarding nor takes back a sysctl that somebody has changed since', async (t) => {
  await using machine = await host();
  await machine.sh('sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.e0.rp_filter=1');
  const apply = await applier(machine);
  await apply(gateway(1));
  await machine.sh('sysctl -qw net.ipv4.conf.e0.rp_filter=0');
  await cleanState(machine.run, { stateDir: machine.stateDir });
  t.is(
    await machine.sh(
      'sysctl -n net.ipv4.ip_forward net.ipv4.conf.e0.rp_filter net.ipv4.fib_multipath_hash_policy',
    ),
    '1\n0\n0\n',
  );
});

/** Runs commands until one is left, gives that one half of its lines, and none after it: what SIGKILL does to an apply. */
function killedAfter(run: Run, commands: number, half: boolean): Run {
  let left = commands;
  return async (command) => {
    if (command.argv.includes('show') || command.argv.includes('list') || command.argv.includes('-e'))
      return run(command);
    if (command.argv.includes('-j')) return run(command);
    left -= 1;
    if (left > 0) return run(command);
    if (left === 0 && half && command.argv.includes('-batch')) {
      const lines = (command.input ?? '').split('\n');
      await run({ ...command, input: `${lines.slice(0, lines.length / 2).join('\n')}\n` });
    }
    throw new CommandError(command, 'killed', { exitCode: null, stderr: '' });
  };
}

test('applyState() killed at any point and run again is right', async (t) => {
  await using machine = await host();
  const apply = await applier(machine);
  await apply(gateway(2));
  const whole = await shape(machine);
  const kills = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].flatMap((commands) => [
    { commands, half: false },
    { commands, half: true },
  ]);
  for (const { commands, half } of kills) {
    await apply(EMPTY_STATE);
    await apply(gateway(2), killedAfter(machine.run, commands, half));
    t.deepEqual((await apply(gateway(2))).failures, [], `set up, ${commands} commands`);
    t.is((await apply(gateway(2))).outcome, 'unchanged', `set up, ${commands} commands`);
    t.deepEqual(await shape(machine), whole, `set up, ${commands} commands`);
    await apply(EMPTY_STATE, killedAfter(machine.run, commands, half));
    t.deepEqual((await apply(EMPTY_STATE)).failures, [], `removed, ${commands} commands`);
    t.is((await apply(EMPTY_STATE)).outcome, 'unchanged', `removed, ${commands} commands`);
  }
});

test('applyState() carries on after a line that the kernel refuses, and names it', async (t) => {
  await using machine = await host();
  const apply = await applier(machine);
  const bad: Route = {
    kind: 'unicast',
    destination: c('10.66.0.0/16'),
    table: 7301,
    metric: 1,
    device: 'nothing',
  };
  const { outcome, failures } = await apply({ ...gateway(1), routes: [bad, ...gateway(1).routes] });
  t.is(outcome, 'incomplete');
  t.deepEqual(failures, [
    {
      what: 'route replace 10.66.0.0/16 dev nothing table 7301 metric 1 protocol 73',
      reason: 'Cannot find device "nothing"',
    },
  ]);
  t.is((await apply(gateway(1))).outcome, 'unchanged');
});

test('applyState() lets nothing through while its nftables table cannot be made', async (t) => {
  await using machine = await host();
  const apply = await applier(machine);
  const wanted = gateway(1);
  const { outcome, failures } = await apply({
    ...wanted,
    nftables: { name: 'isthmus', body: 'chain x { nonsense }', sets: {} },
  });
  t.is(outcome, 'incomplete');
  t.is(failures.length, 2);
  const { routes, rules } = await readState(machine.run);
  t.true(routes.every(({ kind }) => kind === 'unreachable'));
  t.is(routes.length, 4);
  t.is(rules.length, 8);
  t.deepEqual((await apply(wanted)).failures, []);
  t.is((await apply(wanted)).outcome, 'unchanged');
});

test('applyState() reports a damaged memory of sysctls once, and goes on', async (t) => {
  await using machine = await host();
  const apply = await applier(machine);
  await apply(gateway(1));
  const path = join(machine.stateDir, 'sysctls.json');
  await writeFile(path, (await readFile(path, 'utf8')).slice(0, 40));
  const { outcome, failures } = await apply(gateway(1));
  t.is(outcome, 'incomplete');
  t.regex(failures[0]?.reason ?? '', /truncated or damaged and was put aside as ".*\.bad"/);
  t.is((await apply(gateway(1))).outcome, 'unchanged');
});

test('applyState() changes no sysctl whose former value cannot be kept', async (t) => {
  await using machine = await host();
  const { wireguard } = await openWireGuard(machine.run, { logDir: machine.stateDir });
  const stateDir = join(machine.stateDir, 'full');
  await writeFile(stateDir, 'a file where a directory should be');
  const { outcome, failures } = await applyState(machine.run, gateway(1), { stateDir, wireguard });
  t.is(outcome, 'incomplete');
  t.true(failures.some(({ what }) => what.endsWith('so none is changed')));
  t.is(await machine.sh('sysctl -n net.ipv4.fib_multipath_hash_policy'), '0\n');
  t.is((await readState(machine.run)).rules.length, 8);
});

test('applyState() says what is missing', async (t) => {
  await using machine = await host();
  const run: Run = (command) => machine.run({ ...command, argv: ['env', 'PATH=/nowhere', ...command.argv] });
  const error = await t.throwsAsync(() => applyState(run, gateway(1), { stateDir: machine.stateDir }), {
    instanceOf: CommandError,
  });
  t.regex(error?.message ?? '', /No such file or directory/);
});

test('applyState() sets a thousand clusters up, changes one and removes all, in a few processes each', async (t) => {
  await using machine = await host();
  let processes = 0;
  const counting: Run = (command) => {
    processes += 1;
    return machine.run(command);
  };
  const apply = await applier(machine);
  const measure = async (what: string, wanted: NetworkState, limitMs: number): Promise<void> => {
    processes = 0;
    const start = performance.now();
    const { outcome, failures } = await apply(wanted, counting);
    const ms = Math.round(performance.now() - start);
    t.deepEqual(failures, []);
    t.log(`${what}: ${outcome}, ${ms} ms, ${processes} processes`);
    t.true(ms < limitMs && processes < 20, `${what}: ${ms} ms, ${processes} processes`);
  };
  await measure('empty → 1,000 clusters', gateway(1000), 6000);
  await measure('no change', gateway(1000), 3000);
  await measure('one cluster more', gateway(1001), 3000);
  await measure('one cluster less', gateway(1000), 3000);
  await measure('1,000 clusters → empty', EMPTY_STATE, 6000);
});
