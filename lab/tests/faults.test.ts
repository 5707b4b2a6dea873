import process from 'node:process';
import {
  analyse,
  blackHole,
  cutWorkers,
  deleteDevice,
  dropForwarded,
  dropLarge,
  findFaults,
  flap,
  forbidUdp,
  forwardingOff,
  freeze,
  isolate,
  killDaemon,
  killNode,
  killWireGuard,
  Lab,
  lose,
  now,
  starve,
  startClusterset,
  together,
  Traffic,
  tunnelDevices,
  upgradeDaemon,
} from '#lab';
import type { Analysis, Fault } from '#lab';
import { GATEWAY_HTTP_PORT } from '#lib/constants';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { missedPairs, until } from './settled.ts';

// Networks without the product: whatever gets through does so by the routes that a site begins with.
const name = `f${process.pid % 100_000}`;
let lab: Lab;

const GATEWAYS = ['east/gw-0', 'west/gw-0'] as const;

test.before(async () => {
  const site = { gateways: 2, workers: 1, podsPerWorker: 1, podsPerGateway: 1, hostProcesses: 0 } as const;
  lab = await Lab.up({ sites: { east: { ...site, kubeProxy: false }, west: site } }, { name });
});

test.after.always(async () => {
  await Lab.down(name);
});

/** How many of so many echo requests are answered. */
async function echoes(
  from: string,
  to: string,
  options: { count?: number; bytes?: number } = {},
): Promise<number> {
  const { count = 2, bytes = 56 } = options;
  const flags = ['-q', '-n', '-c', String(count), '-i', '0.002', '-W', '0.3', '-s', String(bytes)];
  const said = await lab.place(from).exec(['sh', '-c', '"$@" || :', 'sh', 'ping', ...flags, to]);
  return Number(/(\d+) received/.exec(said)?.[1]);
}

function addresses(place: string): string[] {
  const { v4 = '', v6 = '' } = lab.nodes.find((node) => node.place === place)?.addresses ?? {};
  return [v4, v6];
}

/** Of both families. */
async function isReached(from: string, to: string): Promise<boolean[]> {
  return Promise.all(addresses(to).map(async (address) => (await echoes(from, address)) > 0));
}

const YES = [true, true];
const NO = [false, false];

/** Of both families, sooner or later: a neighbour that was not found a moment ago is not looked for at once. */
async function comesThrough(from: string, to: string): Promise<boolean[]> {
  for (let left = 10; ; left -= 1) {
    const found = await isReached(from, to);
    if (left === 0 || found.every(Boolean)) return found;
  }
}

/** Whole again, with nothing left behind. */
async function undo(t: ExecutionContext, fault: Fault): Promise<void> {
  await fault.undo();
  await fault.undo();
  t.deepEqual(await findFaults(lab), [], fault.what);
}

test.serial('blackHole() takes one path of one pair of gateways, both ways or one', async (t) => {
  const both = await blackHole(lab, GATEWAYS);
  t.deepEqual(await isReached('east/gw-0', 'west/gw-0'), NO);
  t.deepEqual(await comesThrough('east/gw-0', 'west/gw-1'), YES, 'its other path');
  t.deepEqual(await comesThrough('east/gw-1', 'west/gw-0'), YES);
  t.is((await findFaults(lab)).length, 1);
  await t.throwsAsync(blackHole(lab, GATEWAYS), { message: /broken already/ });
  await undo(t, both);
  t.deepEqual(await comesThrough('east/gw-0', 'west/gw-0'), YES);
  const there = await blackHole(lab, GATEWAYS, { direction: 'there' });
  const back = await blackHole(lab, ['east/gw-1', 'west/gw-0'], { direction: 'back' });
  // Answers have to come back as well; what counts is which of the two was dropped.
  t.deepEqual(await isReached('east/gw-0', 'west/gw-0'), NO);
  t.deepEqual(await isReached('east/gw-1', 'west/gw-0'), NO);
  const dropped = await lab.place('east/router').exec(['nft', 'list', 'ruleset']);
  t.is(dropped.match(/saddr 198\.18\.1\.200 ip daddr 198\.18\.2\.200 counter packets [1-9]/g)?.length, 1);
  t.is(dropped.match(/saddr 198\.18\.2\.200 ip daddr 198\.18\.1\.201 counter packets [1-9]/g)?.length, 1);
  const met = await together(
    'nothing',
    async () => there,
    async () => back,
  );
  t.is(await met.dropped?.(), ((await there.dropped?.()) ?? 0) + ((await back.dropped?.()) ?? 0));
  t.true(((await there.dropped?.()) ?? 0) > 0);
  await there.undo();
  await undo(t, back);
  t.throws(() => blackHole(lab, ['east/gw-0', 'east/gw-1']), { message: /no path between sites/ });
});

test.serial('lose() takes about as many packets as it is told', async (t) => {
  const fault = await lose(lab, GATEWAYS, { percent: 30, direction: 'there' });
  const answered = await echoes('east/gw-0', '198.18.2.200', { count: 300 });
  t.true(answered > 150 && answered < 270, String(answered));
  await undo(t, fault);
});

test.serial('forbidUdp() takes UDP alone, silently or not', async (t) => {
  for (const verdict of ['drop', 'reject'] as const) {
    const fault = await forbidUdp(lab, GATEWAYS, { verdict });
    t.deepEqual(await comesThrough('east/gw-0', 'west/gw-0'), YES, 'ICMP is let through');
    await lab.place('east/gw-0').exec(['bash', '-c', 'echo >/dev/udp/198.18.2.200/9']);
    const rules = await lab.place('east/router').exec(['nft', 'list', 'ruleset']);
    t.regex(rules, new RegExp(`udp counter packets [1-9].* ${verdict}`));
    await undo(t, fault);
  }
});

test.serial('dropLarge() takes packets above its size, and says nothing to anybody', async (t) => {
  const fault = await dropLarge(lab, GATEWAYS, { above: 1296 });
  const size = (bytes: number): Promise<number> => echoes('east/gw-0', '198.18.2.200', { bytes: bytes - 28 });
  t.is(await size(1296), 2);
  t.is(await size(1297), 0);
  await undo(t, fault);
  t.is(await size(1400), 2);
});

test.serial('isolate() takes everything between a site and the others, the broker too', async (t) => {
  const fault = await isolate(lab, 'west');
  t.deepEqual(await comesThrough('west/gw-0', 'west/gw-1'), YES);
  t.deepEqual(await isReached('east/gw-0', 'west/gw-1'), NO);
  t.is(await echoes('west/gw-0', '198.19.255.2'), 0);
  await undo(t, fault);
  t.is(await echoes('west/gw-0', '198.19.255.2'), 2);
});

test.serial(
  'cutWorkers() takes the link between a gateway and workers, and nothing else of it',
  async (t) => {
    const fault = await cutWorkers(lab, 'east/gw-0');
    t.deepEqual(await isReached('east/gw-0', 'east/worker-1'), NO);
    t.deepEqual(await comesThrough('east/gw-0', 'east/gw-1'), YES);
    t.deepEqual(await comesThrough('east/gw-0', 'west/gw-0'), YES);
    await undo(t, fault);
    t.deepEqual(await comesThrough('east/gw-0', 'east/worker-1'), YES);
  },
);

test.serial('dropForwarded() and forwardingOff() leave the node itself reachable', async (t) => {
  const pod =
    lab.layout.sites[0]?.nodes.find(({ place }) => place === 'east/gw-0')?.pods[0]?.addresses.v4 ?? '';
  for (const begin of [dropForwarded, forwardingOff]) {
    const fault = await begin(lab, 'east/gw-0');
    t.deepEqual(await comesThrough('east/worker-1', 'east/gw-0'), YES, fault.what);
    t.is(await echoes('east/worker-1', pod), 0, fault.what);
    await undo(t, fault);
    t.is(await echoes('east/worker-1', pod), 2, fault.what);
  }
});

test.serial('freeze() stops every process of a node, and killNode() cuts it off as well', async (t) => {
  const { pid } = await lab.place('east/gw-1').spawn({ role: 'idle', argv: ['sleep', '1000'] });
  const frozen = await freeze(lab, 'east/gw-1');
  t.true((await findFaults(lab)).some((line) => line.includes(`(${pid}) is stopped`)));
  t.deepEqual(await comesThrough('east/gw-0', 'east/gw-1'), YES, 'its kernel answers');
  await undo(t, frozen);
  const dead = await killNode(lab, 'east/gw-1');
  t.deepEqual(await isReached('east/gw-0', 'east/gw-1'), NO);
  await undo(t, dead);
  t.deepEqual(await comesThrough('east/gw-0', 'east/gw-1'), YES);
  t.deepEqual(await comesThrough('east/gw-1', 'west/gw-1'), YES, 'its routes are as they were');
});

test.serial('flap() breaks and mends by turns, and ends whole', async (t) => {
  let begun = 0;
  const begin = async (): Promise<Fault> => {
    begun += 1;
    return blackHole(lab, GATEWAYS);
  };
  const fault = flap(begin, { everyMs: 100, forMs: 500 });
  await fault.done;
  t.is(begun, 5);
  t.is(await fault.dropped?.(), 0, 'nobody sent anything');
  const met = flap(begin, { everyMs: 2000, forMs: 2000 });
  await settle(200);
  t.deepEqual(await isReached('east/gw-0', 'west/gw-0'), NO);
  await met.done;
  t.true(((await met.dropped?.()) ?? 0) > 0);
  const cut = flap(begin, { everyMs: 1000, forMs: 60_000 });
  await undo(t, cut);
  t.is(begun, 7);
});

test.serial('together() undoes what it has begun when it cannot go on', async (t) => {
  const bad = (): Promise<Fault> => blackHole(lab, ['east/gw-0', 'nowhere/gw-0']);
  await t.throwsAsync(
    together(
      'both',
      () => blackHole(lab, GATEWAYS),
      async () => bad(),
    ),
  );
  t.deepEqual(await findFaults(lab), []);
});

test.serial('starve() ends by itself, and when it is told to', async (t) => {
  const busy = async (): Promise<string> =>
    lab.place('internet').exec(['sh', '-c', 'pgrep -P $1 -f "[w]hile :" || :', 'sh', String(process.pid)]);
  const fault = await starve(1000);
  t.not(await busy(), '');
  await undo(t, fault);
  t.is(await busy(), '');
});

/** Steady traffic between two pods of one site while something happens to a link of theirs. */
async function during(work: () => Promise<void>): Promise<Analysis> {
  await using traffic = await Traffic.start(lab, { between: ['east/pod-a', 'east/pod-b'] });
  const from = now();
  await work();
  const to = now();
  return analyse(await traffic.stop(), { from, to });
}

const settle = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

test.serial('Traffic loses nothing where nothing is broken, and tells what a cut link took', async (t) => {
  const quiet = await during(() => settle(700));
  t.is(quiet.udp.lost + quiet.udp.duplicated + quiet.udp.reordered, 0);
  t.true(quiet.udp.sent > 700, String(quiet.udp.sent));
  t.is(quiet.flows.length, 16);
  t.like(quiet.tcp, { opened: 20, lost: 0 });
  const broken = await during(async () => {
    await settle(300);
    const fault = await cutWorkers(lab, 'east/gw-0', ['east/worker-1']);
    await settle(400);
    await fault.undo();
    await settle(1500);
  });
  // Each of 16 flows misses 400 ms of 125 a second.
  t.true(broken.udp.lost >= 640, String(broken.udp.lost));
  t.true(broken.udp.silenceMs >= 400, String(broken.udp.silenceMs));
  t.true(broken.tcp.silenceMs >= 400, String(broken.tcp.silenceMs));
  t.is(broken.tcp.lost, 0);
});

/** Of the gateway daemon that runs on a node; nothing while none answers. */
async function versionAt(joined: Lab, place: string): Promise<string> {
  const script = `fetch('http://127.0.0.1:${GATEWAY_HTTP_PORT}/metrics').then(async (said) => console.log(await said.text()))`;
  const said = await joined
    .place(place)
    .exec([process.execPath, '-e', script])
    .catch(() => '');
  return /isthmus_build_info\{.*\bversion="([^"]+)"/.exec(said)?.[1] ?? '';
}

/** The version that runs after an upgrade. */
async function upgraded(joined: Lab, place: string): Promise<string> {
  const before = await versionAt(joined, place);
  await upgradeDaemon(joined, place);
  let version = before;
  await until(async () => {
    version = await versionAt(joined, place);
    return version === '' || version === before ? [`${place} is of version "${version}"`] : [];
  });
  return version;
}

test.serial(
  'killWireGuard(), deleteDevice(), killDaemon() and upgradeDaemon() are mended by the product alone',
  async (t) => {
    const one = { gateways: 1, workers: 1, podsPerWorker: 1, hostProcesses: 0 } as const;
    await using joined = await Lab.up({ sites: { east: one, west: one } }, { name: `${name}p` });
    await startClusterset(joined);
    await until(() => missedPairs(joined));
    t.deepEqual(await tunnelDevices(joined, 'east/gw-0'), ['ist00']);
    await using killed = await killWireGuard(joined, 'east/gw-0');
    await until(() => missedPairs(joined, { timeoutMs: 500 }));
    await using deleted = await deleteDevice(joined, 'west/gw-0', 'ist00');
    await until(() => missedPairs(joined, { timeoutMs: 500 }));
    const daemon = await killDaemon(joined, 'east/gw-0');
    t.deepEqual(await missedPairs(joined), [], 'without its daemon');
    await daemon.undo();
    t.is((await joined.processes({ role: 'gateway', site: 'east' })).length, 1);
    const first = await upgraded(joined, 'east/gw-0');
    const second = await upgraded(joined, 'east/gw-0');
    t.not(first, second, 'upgradeDaemon() starts another version each time');
    t.deepEqual(await missedPairs(joined), [], 'of another version');
    t.deepEqual(await findFaults(joined), []);
    t.truthy(killed.what + deleted.what);
  },
);
