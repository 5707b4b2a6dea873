import process from 'node:process';
import { Capture, Lab, measureMatrix } from '#lab';
import { MARK_OUTER } from '#lib/constants';
import { readCounters } from '#lib/linux';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { ByHand } from './by-hand.ts';
import { until } from './settled.ts';

// Each rule of the one nftables table has something here that no longer holds without it.
const name = `t${process.pid % 100_000}`;
let lab: Lab;

test.before(async () => {
  const one = { workers: 1, podsPerWorker: 1, hostProcesses: 0, underlay: 'dual' } as const;
  lab = await Lab.up({ sites: { east: { ...one }, west: { ...one, link: 'vxlan' } } }, { name });
  await (await ByHand.join(lab)).warm();
});

test.after.always(async () => {
  await Lab.down(name);
});

/** The lab's addresses: of a site's node on its network, of a pod behind a node, of the first gateway or a worker in the fabric. */
interface Names {
  readonly bits: number;
  readonly lan: (site: number, node: number) => string;
  readonly pod: (site: number, node: number, pod: number) => string;
  readonly fabric: (site: number, node: number) => string;
}

const FAMILIES: Readonly<Record<'v4' | 'v6', Names>> = {
  v4: {
    bits: 32,
    lan: (site, node) => `198.18.${site}.${node}`,
    pod: (site, node, pod) => `10.${site}.${node}.${pod}`,
    fabric: (site, node) => `100.64.${site}.${node}`,
  },
  v6: {
    bits: 128,
    lan: (site, node) => `2001:db8:${site}::${node}`,
    pod: (site, node, pod) => `fd10:${site}:${node}::${pod}`,
    fabric: (site, node) => `fdfa:bfab:1:${site}::${node}`,
  },
};

/** Three echo requests; says "answered" if one is. */
const ping = (to: string, ...more: readonly string[]): string =>
  `ping -n -c 3 -i 0.2 -W 1 ${more.join(' ')} ${to} && echo answered || :`;

const datagrams = (to: string, port: number): string =>
  `bash -c 'for n in 1 2 3; do echo > /dev/udp/${to}/${port}; done' || :`;

/** With an address that the host does not have otherwise. */
function as({ bits }: Names, from: string, act: (flag: string) => string): string {
  // Else an IPv6 address is of use only when the kernel comes round to it.
  const nodad = bits === 128 ? 'nodad' : '';
  return `ip addr add ${from}/${bits} dev lo ${nodad}; ${act(`-I ${from}`)}; ip addr del ${from}/${bits} dev lo`;
}

/** By another next hop than the host's own routes say. */
function by(route: string, act: string): string {
  return `ip route replace ${route}; ${act}; ip route del ${route}`;
}

function sh(place: string, script: string): Promise<string> {
  return lab.place(place).exec(['sh', '-c', script]);
}

/** A packet that somebody has no business to send: from where, how, and by which counter it ends where. */
type Wrong = readonly [what: string, place: string, script: string, at: string, counter: string];

function wrongs(names: Names): readonly Wrong[] {
  const { lan, pod, fabric } = names;
  const [east, west, behind] = [pod(1, 1, 2), pod(2, 1, 2), lan(1, 200)];
  const stranger = (to: string, via: string, from?: string): string => {
    const act = (flag: string): string => `ping -c 1 -W 1 ${via}; ${by(`${to} via ${via}`, ping(to, flag))}`;
    return from === undefined ? act('') : as(names, from, act);
  };
  return [
    ['fabric → pod', 'east/router', stranger(east, behind, fabric(2, 0)), 'east/gw-0', 'bad_fabric_fwd'],
    ['LAN → fabric, here', 'east/router', stranger(fabric(1, 0), behind), 'east/gw-0', 'bad_fabric_in'],
    ['LAN → fabric, there', 'east/router', stranger(fabric(2, 0), behind), 'east/gw-0', 'bad_fabric_fwd'],
    [
      'fabric from LAN to LAN',
      'east/router',
      stranger(fabric(1, 1), behind, fabric(2, 0)),
      'east/gw-0',
      'bad_fabric_fwd',
    ],
    [
      'fabric past a worker',
      'east/router',
      stranger(fabric(2, 0), lan(1, 1), fabric(1, 9)),
      'east/worker-1',
      'bad_fabric_fwd',
    ],
    ['fabric, other port', 'east/gw-0', datagrams(fabric(2, 0), 9), 'west/gw-0', 'bad_fabric_in'],
    ['transit, other port', 'east/gw-0', datagrams(fabric(2, 1), 9), 'west/gw-0', 'bad_fabric_fwd'],
    ['VXLAN of a stranger', 'west/router', datagrams(lan(2, 200), 8473), 'west/gw-0', 'bad_vxlan'],
    [
      'far source, bare link',
      'west/router',
      stranger(west, lan(2, 200), pod(1, 77, 9)),
      'west/gw-0',
      'bad_source',
    ],
    [
      'far destination, bare link',
      'west/router',
      stranger(east, lan(2, 200), pod(2, 77, 9)),
      'west/gw-0',
      'bad_source',
    ],
    ['LAN → far', 'east/router', stranger(west, behind), 'east/gw-0', 'bad_source'],
    ['tunnel → LAN', 'west/gw-0', throughTunnel(names, behind), 'east/gw-0', 'bad_dest'],
    ['pod → fabric by a tunnel', 'west/gw-0', throughTunnel(names, fabric(1, 0)), 'east/gw-0', 'bad_dest'],
    ['a refusal made here', 'east/gw-0', refused(fabric(2, 0)), 'east/gw-0', 'bad_fabric_in'],
  ];
}

/** The own WireGuard is told to send there. */
function throughTunnel(names: Names, to: string): string {
  const allow = `wg show ist00 allowed-ips | while read -r key cidrs; do
    wg set ist00 peer $key allowed-ips "$(echo $cidrs | tr ' ' ,),${to}/${names.bits}"; done`;
  const act = (flag: string): string => by(`${to} dev ist00 table 7301`, ping(to, flag));
  return `${allow}; ${as(names, names.pod(2, 77, 9), act)}`;
}

/** By this host's own firewall: the error comes by the loopback device. */
function refused(to: string): string {
  return `nft 'table inet strict { chain out { type filter hook output priority 0; udp dport 51800 reject; }; }'
    ${datagrams(to, 51800)}; sleep 0.1; nft delete table inet strict`;
}

for (const [family, names] of Object.entries(FAMILIES)) {
  test.serial(`The table drops and counts what nobody may send, ${family}`, async (t) => {
    for (const [what, place, script, at, counter] of wrongs(names)) {
      const before = await dropped(at);
      const said = await sh(place, script);
      const after = await dropped(at);
      const more = Object.keys(after).filter((key) => after[key] !== before[key]);
      t.deepEqual(more, [counter], `${what}: ${said}`);
      t.is((after[counter] ?? 0) - (before[counter] ?? 0), 3, what);
      t.false(said.includes('answered'), what);
    }
  });

  test.serial(
    `The table leaves what half passes a host untracked, and tracks what begins or ends there, ${family}`,
    async (t) => {
      const { pod, fabric, lan } = names;
      await assertReached(t);
      const [from, to] = [pod(2, 77, 9), pod(1, 1, 2)];
      // The link is trusted: a far source may come by it, if it is not for this host's own pods.
      await sh(
        'east/router',
        as(names, from, (flag) => by(`${to} via ${lan(1, 200)}`, ping(to, flag))),
      );
      t.regex(await sh('east/gw-0', ping(fabric(2, 1), `-I ${fabric(1, 0)}`)), /answered/);
      t.regex(await sh('east/gw-0', ping(fabric(1, 0))), /answered/);
      const tracked = async (place: string): Promise<string[]> =>
        (await sh(place, 'cat /proc/net/nf_conntrack'))
          .split('\n')
          .filter((line) => PASSING[family]?.test(line));
      for (const place of ['east/gw-1', 'west/gw-0', 'west/gw-1'])
        t.deepEqual(await tracked(place), [], place);
      for (const place of ['east/worker-1', 'west/worker-1']) t.not((await tracked(place)).length, 0, place);
      t.deepEqual(
        (await tracked('east/gw-0')).filter((line) => !FABRIC.test(line)),
        [],
      );
      t.deepEqual(
        (await tracked('west/worker-1')).filter((line) => FABRIC.test(line)),
        [],
      );
    },
  );

  test.serial(
    `The table cuts the segments of new connections to what the route takes, ${family}`,
    async (t) => {
      await using seen = await Capture.start(lab, { place: lab.pod('west/pod-a').end.place, filter: 'tcp' });
      await sh(lab.pod('east/pod-a').end.place, `bash -c 'echo > /dev/tcp/${names.pod(2, 1, 2)}/8080'`);
      const size = family === 'v4' ? 1400 : 1380;
      const opened = (): string | undefined => seen.packets.find((line) => line.includes('Flags [S]'));
      await until(() => Promise.resolve(opened() === undefined ? ['no connection seen'] : []));
      t.regex(opened() ?? '', new RegExp(`mss ${size},`));
    },
  );

  test.serial(
    `The table gives a host-network process that asks for a service the node's address, ${family}`,
    async (t) => {
      const service = family === 'v4' ? '198.51.100.99' : '2001:db8:99::99';
      const dnat = `type nat hook output priority -100; ip${family === 'v4' ? '' : '6'} daddr ${service} dnat to ${names.pod(2, 1, 2)};`;
      const said = await sh(
        'east/worker-1',
        `nft 'table ip${family === 'v4' ? '' : '6'} service { chain out { ${dnat} }; }'; ${ping(service)}`,
      );
      t.regex(said, /answered/);
    },
  );

  test.serial(
    `The table marks what comes by a tunnel, so that what nobody has stays here, ${family}`,
    async (t) => {
      const nobody = names.pod(1, 99, 9);
      await using seen = await Capture.start(lab, { place: 'east/router', filter: `host ${nobody}` });
      const said = await sh(
        'west/gw-0',
        as(names, names.pod(2, 77, 9), (flag) => ping(nobody, flag)),
      );
      t.regex(said, /nreachable|No route/);
      t.deepEqual(await seen.stop(), []);
    },
  );
}

const FABRIC = /src=(100\.|fdfa:)/;
/** To a pod behind a worker, or to a worker's name in the fabric. */
const PASSING: Readonly<Record<string, RegExp>> = {
  v4: /dst=(10\.\d\.1\.2|100\.64\.2\.1) /,
  v6: /dst=(fd10:000\d:0001:(0000:){4}0002|fdfa:bfab:0001:0002:(0000:){3}0001) /,
};

/** What a host's table has dropped, by counter. */
async function dropped(place: string): Promise<Readonly<Record<string, number>>> {
  const counters = await readCounters(lab.place(place).run, 'isthmus');
  return Object.fromEntries(Object.entries(counters).map(([counter, { packets }]) => [counter, packets]));
}

async function assertReached(t: ExecutionContext): Promise<void> {
  const pairs = await measureMatrix(lab);
  t.deepEqual(
    pairs
      .filter(({ kept }) => !kept)
      .map(({ from, to, family, seenAs, error }) => [from.name, to.name, family, seenAs ?? error]),
    [],
  );
}

test.serial(
  'The table lets a sibling reach other clusters by this gateway, and nothing of this host',
  async (t) => {
    const { lan, pod } = FAMILIES.v4;
    const before = await dropped('east/gw-0');
    const to = pod(1, 200, 1);
    const said = await sh(
      'east/gw-1',
      by(`${to} via ${lan(1, 200)} dev ist-sib onlink table 7301`, ping(to)),
    );
    t.false(said.includes('answered'));
    t.is(((await dropped('east/gw-0'))['bad_dest'] ?? 0) - (before['bad_dest'] ?? 0), 3);
  },
);

test.serial('The table clears its marks from what a gateway hands on', async (t) => {
  for (const place of ['west/gw-0', 'west/gw-1'])
    await sh(
      place,
      `nft 'table inet watch { counter kept { }; counter seen { }; chain post { type filter hook postrouting priority 0; counter name seen; meta mark & 0x200000 != 0 counter name kept; }; }'`,
    );
  await assertReached(t);
  let all = 0;
  for (const place of ['west/gw-0', 'west/gw-1']) {
    const counters = await readCounters(lab.place(place).run, 'watch');
    t.is(counters['kept']?.packets, 0, place);
    all += counters['seen']?.packets ?? 0;
  }
  t.not(all, 0);
});

test.serial('The table forbids to cut outer packets of tunnels', async (t) => {
  await using seen = await Capture.start(lab, {
    place: 'east/router',
    filter: 'icmp[icmptype] = icmp-echo and ip[6] & 0x40 = 0',
  });
  const { lan } = FAMILIES.v4;
  const said = await sh('east/gw-0', ping(lan(1, 254), '-M dont', `-m ${MARK_OUTER}`));
  t.regex(said, /answered/);
  t.deepEqual(await seen.stop(), []);
});

for (const underlay of ['v4', 'v6'] as const) {
  test.serial(`The table believes no "too big" about outer packets, ${underlay}`, async (t) => {
    const one = { gateways: 1, workers: 1, podsPerWorker: 1, hostProcesses: 0, underlay } as const;
    await using small = await Lab.up({ sites: { east: one, west: one } }, { name: `${name}-${underlay}` });
    await (await ByHand.join(small)).warm();
    const [gateway, router] = [small.place('east/gw-0'), small.place('east/router')];
    const far = FAMILIES[underlay].lan(2, 200);
    const uplink = /dev (\S+)/.exec(await router.exec(['ip', 'route', 'get', far]))?.[1] ?? '';
    await router.exec(['ip', 'link', 'set', uplink, 'mtu', '1300']);
    const full = ping('100.64.2.0', '-I 100.64.1.0', '-s 1380', '-M do');
    t.false((await gateway.exec(['sh', '-c', full])).includes('answered'));
    const counters = await readCounters(gateway.run, 'isthmus');
    t.true((counters['outer_toobig']?.packets ?? 0) > 0);
    t.notRegex(await gateway.exec(['ip', 'route', 'get', far]), /mtu/);
  });
}
