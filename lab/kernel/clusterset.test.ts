import process from 'node:process';
import { Capture, findLeftovers, Lab, leaveSite, setMtu, startClusterset } from '#lab';
import type { ScenarioInput } from '#lab';
import { NFT_TABLE } from '#lib/constants';
import test from 'ava';
import * as v from 'valibot';
import { missedPairs, until } from '../tests/settled.ts';

// One clusterset for all, each test going on where the one before has stopped. Emulated machines are slow: it counts, and measures no time.
const name = `k${process.pid % 100_000}`;
let lab: Lab;

const two = { gateways: 2, workers: 1, podsPerWorker: 1, hostProcesses: 0, lanes: 1 } as const;
/** No more hosts and lanes than an emulated machine has time for. */
const SITES = {
  east: { ...two, underlay: 'dual' },
  west: { ...two, underlay: 'v4', link: 'vxlan' },
  // Its tunnels are carried by IPv6, those of the others by IPv4.
  six: { gateways: 1, workers: 0, podsPerGateway: 1, hostProcesses: 0, underlay: 'v6' },
} as const satisfies ScenarioInput['sites'];
const PAIRS = [
  ['east', 'west'],
  ['east', 'six'],
] as const;
const PATIENCE = { timeoutMs: 5000 } as const;

const gateways = (): readonly string[] =>
  lab.nodes.filter(({ role }) => role === 'gateway').map(({ place }) => place);

async function reached(pairs: readonly (readonly string[])[] = PAIRS): Promise<string[]> {
  const missed = await Promise.all(pairs.map((sites) => missedPairs(lab, { ...PATIENCE, sites })));
  return missed.flat();
}

/** The other site's pod, and how to ask it for so many bytes in all that may not be cut. */
async function ask(to: 'west' | 'six', family: 'v4' | 'v6', bytes: number): Promise<string> {
  const address = lab.site(to).ends[0]?.addresses[family] ?? '';
  const size = String(bytes - (family === 'v4' ? 28 : 48));
  const ping = ['ping', '-n', '-c', '4', '-i', '0.3', '-W', '4', '-M', 'do', '-s', size, address];
  return lab.pod('east/pod-a').exec(['sh', '-c', '"$@" 2>&1 || :', 'sh', ...ping]);
}

/** Packets that gateways were told are too big on the way, and that they did not believe. */
async function disbelieved(): Promise<number> {
  const said = await Promise.all(
    gateways().map((place) =>
      lab.place(place).exec(['nft', 'list', 'counter', 'inet', NFT_TABLE, 'outer_toobig']),
    ),
  );
  return said.reduce((sum, text) => sum + Number(/packets (\d+)/.exec(text)?.[1] ?? Number.NaN), 0);
}

test.before(async () => {
  lab = await Lab.up({ sites: SITES }, { name });
  await startClusterset(lab);
});

test.after.always(async () => {
  await Lab.down(name);
});

test('Two sites with two gateways, and one over IPv6, reach each other over kernel WireGuard', async (t) => {
  await until(() => reached());
  t.deepEqual(await reached(), []);
});

const Links = v.array(
  v.object({ ifname: v.string(), linkinfo: v.optional(v.object({ info_kind: v.string() })) }),
);
const Conditions = v.array(v.object({ code: v.string() }));

test('Every tunnel device is the kernel’s, and no gateway says otherwise', async (t) => {
  for (const place of gateways()) {
    const links = v.parse(
      Links,
      JSON.parse(
        await lab.place(place).exec(['ip', '-json', '-details', 'link', 'show', 'type', 'wireguard']),
      ),
    );
    t.true(links.length > 0, place);
    t.false([...(await lab.programs(place)).values()].includes('wireguard-go'), place);
    const said = await lab.place(place).exec(['clusterctl', 'show', 'conditions', '-o', 'json']);
    const codes = v.parse(Conditions, JSON.parse(said)).map(({ code }) => code);
    t.false(codes.includes('IST_WIREGUARD_USERSPACE'), place);
  }
});

/** UDP that routers may cut, and pieces of what was cut. */
const CUTTABLE = 'ip and udp and ip[6] & 0x40 = 0';
const PIECES = 'ip[6:2] & 0x3fff != 0 or ip6[6] = 44';

test('No outer packet may be cut on its way, although kernel WireGuard would let it', async (t) => {
  await using bad = await Capture.start(lab, { filter: `(${CUTTABLE}) or (${PIECES})` });
  await using all = await Capture.start(lab, { filter: 'udp' });
  for (const to of ['west', 'six'] as const)
    for (const family of ['v4', 'v6'] as const) t.regex(await ask(to, family, 1376), / 0% packet loss/);
  t.true((await all.stop()).length >= 32);
  t.deepEqual(await bad.stop(), []);
});

test('"Too big" about our own outer packets is not believed: nothing is cut from then on', async (t) => {
  const before = await disbelieved();
  await using pieces = await Capture.start(lab, { filter: PIECES });
  for (const to of ['west', 'six'] as const) {
    await setMtu(lab, 'internet', to, 1380);
    // Too large for the line with what WireGuard puts around it: it is lost, or refused where its size is known by then.
    for (const family of ['v4', 'v6'] as const) t.notRegex(await ask(to, family, 1376), / [1-4] received/);
    for (const family of ['v4', 'v6'] as const) t.regex(await ask(to, family, 1280), / [1-4] received/);
    await setMtu(lab, 'internet', to, 1500);
  }
  t.true((await disbelieved()) > before);
  t.deepEqual(await pieces.stop(), []);
  // What a kernel believes of a path, it keeps as an exception of its route.
  for (const place of gateways())
    t.notRegex(
      await lab.place(place).exec(['sh', '-c', 'ip -4 route show cache; ip -6 route show cache']),
      /mtu/,
    );
  await until(() => reached());
});

test('A site that leaves leaves nothing in its kernels, and the others go on', async (t) => {
  await leaveSite(lab, 'west');
  await until(() => findLeftovers(lab, 'west'));
  t.deepEqual(await findLeftovers(lab, 'west'), []);
  await until(() => reached([['east', 'six']]));
});
