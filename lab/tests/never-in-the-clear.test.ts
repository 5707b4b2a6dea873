import fs from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {
  Capture,
  createClusterset,
  joinSite,
  Lab,
  leaveSite,
  siteDocument,
  startDaemons,
  stopDaemons,
} from '#lab';
import type { LabEnd } from '#lab';
import { readCounters } from '#lib/linux';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { settle, until } from './settled.ts';

// One lab for all, and one capture on its internet from the first guard to the last test: whatever is done, pods go on sending.
const name = `c${process.pid % 100_000}`;
let lab: Lab;
let capture: Capture;

const SITES = ['east', 'west', 'edge'] as const;
type Site = (typeof SITES)[number];
const FABRIC = '100.64.0.0/10';
/** Pods' and fabric's addresses, IPv4 and IPv6: none of them may be seen on the internet. */
const INSIDE = `net 10.0.0.0/8 or net ${FABRIC} or net fd00::/8`;

test.before(async () => {
  const one = { gateways: 1, workers: 1, podsPerWorker: 1, hostProcesses: 2 } as const;
  const sites = {
    east: { ...one, gateways: 2 },
    west: { ...one, link: 'vxlan' },
    edge: { ...one, nat: 'dial-out' },
  } as const;
  lab = await Lab.up({ sites }, { name });
  await createClusterset(lab);
  for (const site of SITES) await joinSite(lab, site);
});

test.after.always(async () => {
  await Lab.down(name);
});

/** Sends a datagram to one address after the other, whatever becomes of them. */
const SENDER = `
const { createSocket } = require('node:dgram');
const sockets = { 4: createSocket('udp4'), 6: createSocket('udp6') };
for (const socket of Object.values(sockets)) socket.on('error', () => {});
let at = 0;
setInterval(() => {
  const to = process.argv[1 + (at++ % (process.argv.length - 1))];
  sockets[to.includes(':') ? 6 : 4].send('.', 8080, to, () => {});
}, 10);`;

function podsOf(site: Site): LabEnd[] {
  return lab.site(site).ends.filter(({ kind }) => kind === 'pod');
}

/** From every pod of a site, and from the host network of its nodes. */
async function send(from: Site, to: readonly Site[]): Promise<void> {
  const targets = to.flatMap(podsOf).flatMap(({ addresses: { v4, v6 } }) => [v4 ?? '', v6 ?? '']);
  const places = lab.site(from).ends.map(({ place }) => lab.place(place));
  const argv = [process.execPath, '-e', SENDER, ...targets] as const;
  await Promise.all(places.map((place) => place.spawn({ role: 'sender', argv })));
}

/** Packets that the sending pods have put on their wires. */
async function sent(): Promise<Map<string, number>> {
  const senders = (await lab.processes({ role: 'sender' })).filter(({ place }) => place.includes('/pod-'));
  const counts = senders.map(async ({ place }) => {
    const said = await lab.place(place).exec(['sh', '-c', 'grep eth0: /proc/net/dev']);
    return [place, Number(said.trim().split(/\s+/)[10])] as const;
  });
  return new Map(await Promise.all(counts));
}

/** Lets every pod send so many more packets, and then looks for one in the clear. */
async function assertNone(t: ExecutionContext, packets = 80): Promise<void> {
  const before = await sent();
  t.true(before.size > 0, 'somebody sends');
  await until(async () =>
    [...(await sent())].flatMap(([pod, count]) =>
      count - (before.get(pod) ?? count) < packets ? [`${pod} sends`] : [],
    ),
  );
  t.deepEqual(capture.packets.filter(isRemote).slice(0, 5), []);
}

/** Not to the pods of the very site that it left: such a one is for an address that nobody has. */
function isRemote(line: string): boolean {
  const [, site, to = ''] = /(\w+)\s+In\s+IP6? \S+ > ([0-9a-f.:]+)/.exec(line) ?? [];
  const n = SITES.findIndex((each) => each === site) + 1;
  return n === 0 || !(to.startsWith(`10.${n}.`) || to.startsWith(`fd10:${n}:`));
}

/** What is not yet so: each of the sites' hosts guards the CIDRs of the others. */
async function unguarded(sites: readonly Site[]): Promise<string[]> {
  const script = 'for f in 4 6; do ip -$f rule; ip -$f route show table 7301 2>&1; done; :';
  const nodes = sites.flatMap((site) => lab.site(site).nodes.map(({ place }) => ({ site, place })));
  const all = await Promise.all(
    nodes.map(async ({ site, place }) => {
      const said = await lab.place(place).exec(['sh', '-c', script]);
      const cidrs = SITES.filter((each) => each !== site).flatMap((each) => {
        const n = SITES.indexOf(each) + 1;
        return [`10.${n}.0.0/16`, `fd10:${n}::/32`];
      });
      const inForce = said.match(/^301:.* lookup 7301/gm)?.length === 2;
      return inForce && cidrs.every((cidr) => said.includes(`unreachable ${cidr} `)) ? [] : [place];
    }),
  );
  return all.flat();
}

const gateways = (): string[] => lab.nodes.filter(({ role }) => role === 'gateway').map(({ place }) => place);

function onGateways(script: string): Promise<unknown> {
  return Promise.all(gateways().map((place) => lab.place(place).exec(['sh', '-c', script])));
}

const DELETE_TUNNELS =
  "ip -o link show group 73 | sed 's/^[0-9]*: \\([^:@]*\\).*/\\1/' | while read -r d; do ip link delete $d; done";

test('nothing leaves in the clear from the first landing on, before there is any tunnel', async (t) => {
  await send('east', ['west', 'edge']);
  {
    await using before = await Capture.start(lab, { filter: INSIDE });
    await until(() => Promise.resolve(before.packets.length === 0 ? ['it would be seen'] : []));
  }
  await startDaemons(lab, 'east');
  await until(() => unguarded(['east']));
  capture = await Capture.start(lab, { filter: INSIDE, device: 'east' });
  await assertNone(t);
});

test('nothing leaves in the clear while tunnels come up', async (t) => {
  for (const site of ['west', 'edge'] as const) await startDaemons(lab, site);
  // Pods of a host that is not guarded yet answer what reaches them: that is before its first landing.
  await until(() => unguarded(SITES));
  await assertNone(t, 20);
  await capture.stop();
  capture = await Capture.start(lab, { filter: INSIDE });
  await send('west', ['east', 'edge']);
  await send('edge', ['east', 'west']);
  await settle(lab);
  await assertNone(t);
});

test('nothing leaves in the clear while every tunnel device is deleted, again and again', async (t) => {
  for (let times = 0; times < 3; times += 1) {
    await onGateways(DELETE_TUNNELS);
    await assertNone(t, 20);
  }
  await settle(lab);
  await assertNone(t);
});

test('nothing leaves in the clear when all userspace tunnels are killed', async (t) => {
  for (const place of gateways())
    for (const [pid, program] of await lab.programs(place))
      if (program === 'wireguard-go') process.kill(pid, 'SIGKILL');
  await assertNone(t);
  await settle(lab);
});

test('nothing leaves in the clear while daemons end and start', async (t) => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const site of SITES) await stopDaemons(lab, site, signal);
    await assertNone(t, 20);
    for (const site of SITES) await startDaemons(lab, site);
    await assertNone(t, 20);
  }
  await settle(lab);
  await assertNone(t);
});

test('nothing leaves in the clear with all daemons dead and all devices of ours deleted', async (t) => {
  for (const site of SITES) await stopDaemons(lab, site, 'SIGKILL');
  await onGateways(DELETE_TUNNELS);
  const all =
    "ip -o link | sed -n 's/^[0-9]*: \\(ist-[a-z]*\\).*/\\1/p' | while read -r d; do ip link delete $d; done";
  await Promise.all(lab.nodes.map(({ place }) => lab.place(place).exec(['sh', '-c', all])));
  await assertNone(t);
  for (const site of SITES) await startDaemons(lab, site);
  await settle(lab);
  await assertNone(t);
});

/** Writes east's site.yaml with so many more workers, and with lanes. */
async function describe(more: number, lanes: number): Promise<void> {
  const { nodes, ...document } = siteDocument(lab.site('east'));
  const standing: readonly unknown[] = Array.isArray(nodes) ? nodes : [];
  const added = Array.from({ length: more }, (_, at) => ({
    name: `worker-${9 + at}`,
    role: 'worker',
    addresses: [`198.18.1.${9 + at}`],
    podCIDRs: [`10.1.${9 + at}.0/24`],
  }));
  const file = path.join(lab.home.site('east').directory, 'site.yaml');
  await fs.writeFile(`${file}.new`, stringify({ ...document, lanes, nodes: [...standing, ...added] }));
  await fs.rename(`${file}.new`, file);
}

test('nothing leaves in the clear while the site is described anew', async (t) => {
  for (const [more, lanes] of [
    [1, 1],
    [2, 2],
    [0, 1],
  ] as const) {
    await describe(more, lanes);
    await assertNone(t, 40);
  }
  await settle(lab);
});

/** What a gateway's table has dropped, by counter. */
async function dropped(place: string): Promise<Readonly<Record<string, number>>> {
  const counters = await readCounters(lab.place(place).run, 'isthmus');
  return Object.fromEntries(Object.entries(counters).map(([counter, { packets }]) => [counter, packets]));
}

/** Three packets, of which none is answered: an exit status other than 0 is as it should be. */
const ping = (to: string, from?: string): string =>
  `ping -n -c 3 -i 0.2 -W 1 ${from === undefined ? '' : `-I ${from}`} ${to} && echo answered || :`;

/** Runs a script somewhere, and says by how much a counter elsewhere went up meanwhile. */
async function countDrops(
  [place, script]: readonly [string, string],
  [at, counter]: readonly [string, string],
): Promise<number> {
  const before = (await dropped(at))[counter] ?? 0;
  const said = await lab.place(place).exec(['sh', '-c', script]);
  if (said.includes('answered')) throw new Error(`${place}: ${script}: answered`);
  return ((await dropped(at))[counter] ?? 0) - before;
}

test('addresses of the fabric are not believed when they come from the LAN', async (t) => {
  const stranger = (to: string): string =>
    `ip route replace ${to} via 198.18.1.200; ${pingAs('100.64.2.0', to)}; ip route del ${to}`;
  t.is(await countDrops(['east/router', stranger('100.64.1.0')], ['east/gw-0', 'bad_fabric_in']), 3);
  t.is(await countDrops(['east/router', stranger('10.1.1.2')], ['east/gw-0', 'bad_fabric_fwd']), 3);
});

test('encapsulated packets of strangers are dropped', async (t) => {
  const datagrams = `const s = require('node:dgram').createSocket('udp4');
    for (let n = 0; n < 3; n++) s.send('x', 8473, '198.18.2.200', () => n === 2 && s.close());`;
  for (const place of ['internet', 'west/router'])
    t.is(
      await countDrops([place, `'${process.execPath}' -e "${datagrams}"`], ['west/gw-0', 'bad_vxlan']),
      3,
      place,
    );
});

/** From an address that the host does not have. */
const pingAs = (from: string, to: string): string =>
  `ip addr add ${from}/32 dev lo; ${ping(to, from)}; ip addr del ${from}/32 dev lo`;

/** Echo requests that a site's gateways see meanwhile. */
async function arriving(site: Site, act: () => Promise<void>): Promise<readonly string[]> {
  const places = gateways().filter((place) => place.startsWith(`${site}/`));
  const filter = 'icmp[icmptype] = icmp-echo';
  const captures = await Promise.all(places.map((place) => Capture.start(lab, { place, filter })));
  await act();
  return (await Promise.all(captures.map((each) => each.stop()))).flat();
}

/** A member whose hosts are in bad hands: no daemon, no rules, and whatever addresses it likes. */
async function corrupt(site: Site): Promise<void> {
  await stopDaemons(lab, site, 'SIGKILL');
  await Promise.all(
    lab.site(site).nodes.map(async ({ place, role }) => {
      if (role === 'worker') await lab.place(place).exec(['nft', 'delete', 'table', 'inet', 'isthmus']);
    }),
  );
}

test("a member does not get through with another's addresses, nor to anything but pods", async (t) => {
  await corrupt('west');
  // Outside of the node's own pods, so that no masquerade of the lab's gives it another one.
  const [own, anothers] = ['10.2.77.99', '10.3.1.99'];
  const pod = lab.pod('east/pod-a').end.addresses.v4 ?? '';
  const honest = ['west/gw-0', 'bad_source'] as const;
  t.is(await countDrops(['west/worker-1', pingAs(anothers, pod)], honest), 3);
  await lab.place('west/gw-0').exec(['nft', 'delete', 'table', 'inet', 'isthmus']);
  const seen = await arriving('east', async () => {
    for (const from of [own, anothers]) await lab.place('west/gw-0').exec(['sh', '-c', pingAs(from, pod)]);
  });
  t.true(seen.some((line) => line.includes(`${own} > ${pod}`)));
  t.deepEqual(
    seen.filter((line) => line.includes(`${anothers} >`)),
    [],
  );
  // To the gateway itself, past the pods: its own WireGuard is told to send there.
  const lan = '198.18.1.200';
  const allowed = await lab.place('west/gw-0').exec(['wg', 'show', 'ist00', 'allowed-ips']);
  const east = allowed.split('\n').find((line) => line.includes('10.1.0.0/16'));
  const [key = '', cidrs = ''] = east?.split('\t') ?? [];
  const through = [
    `wg set ist00 peer ${key} allowed-ips ${[...cidrs.split(' '), `${lan}/32`].join(',')}`,
    `ip route replace ${lan} dev ist00 table 7301`,
    pingAs(own, lan),
    `ip route del ${lan} dev ist00 table 7301`,
  ];
  t.is(await countDrops(['west/gw-0', through.join('; ')], ['east/gw-0', 'bad_dest']), 3);
  await startDaemons(lab, 'west');
  await settle(lab);
  await assertNone(t);
});

test('nothing leaves in the clear while a member is revoked, nor afterwards', async (t) => {
  await lab.place('broker').exec(['clusterctl', 'broker', 'revoke', 'west', '--yes']);
  await assertNone(t, 20);
  const others = gateways().filter((place) => !place.startsWith('west/'));
  await until(async () => {
    const peers = others.map((place) => lab.place(place).exec(['wg', 'show', 'all', 'allowed-ips']));
    return (await Promise.all(peers)).filter((said) => said.includes('10.2.0.0/16'));
  });
  await assertNone(t);
  for (const site of SITES) await stopDaemons(lab, site);
  await onGateways(DELETE_TUNNELS);
  for (const site of SITES) await startDaemons(lab, site);
  await assertNone(t);
  await until(() => unguarded(SITES));
});

test('nothing leaves in the clear while another member leaves', async (t) => {
  await lab.kill({ role: 'sender' }, 'SIGKILL');
  await send('east', ['west']);
  await send('west', ['east']);
  await leaveSite(lab, 'edge');
  await assertNone(t);
});
