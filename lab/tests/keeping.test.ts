import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { Lab, dropForwarded, startClusterset, startDaemon } from '#lab';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as v from 'valibot';
import { settle, until, waiting } from './settled.ts';
import { Stillness, kernels } from './stillness.ts';

// One lab for all, each test leaves it as it found it; the last one ends the clusterset.
const name = `k${process.pid % 100_000}`;
let lab: Lab;

test.before(async () => {
  const site = { workers: 1, podsPerWorker: 1, hostProcesses: 0 } as const;
  lab = await Lab.up({ sites: { east: site, west: { ...site, link: 'vxlan' } } }, { name });
  await startClusterset(lab);
  await settle(lab);
});
test.after.always(() => lab?.down());

async function sh(place: string, script: string): Promise<string> {
  return await lab.place(place).exec(['sh', '-c', script]);
}

/** Milliseconds until `isSo`; the test fails after `limitMs`. */
async function within(
  t: ExecutionContext,
  limitMs: number,
  what: string,
  isSo: () => Promise<boolean>,
): Promise<void> {
  const began = performance.now();
  while (!(await isSo())) {
    if (performance.now() - began > limitMs) return t.fail(`not within ${limitMs} ms: ${what}`);
    await sleep(20);
  }
  t.pass();
  t.log(`${Math.round(performance.now() - began)} ms: ${what}`);
}

/** What a gateway's kernel holds of ours; what is made anew has another place in a list, and another handle. */
async function held(): Promise<string[]> {
  const text = (await kernels(lab)).get('east/gw-0') ?? '';
  return text
    .replaceAll(/ # handle \d+/g, '')
    .split('\n')
    .toSorted((a, b) => (a < b ? -1 : 1));
}

/** Sooner than the next look at a kernel that nothing asked for: a monitor has told of it. */
const TOLD_MS = 20_000;
/** No monitor tells of what is in a device. */
const LOOKED_MS = 40_000;

/** What somebody may do to a gateway's kernel. */
const DAMAGE: readonly (readonly [what: string, script: string, limitMs?: number])[] = [
  ['a route', 'ip route del 10.2.0.0/16 table 7301 metric 100'],
  ['an unreachable route', 'ip route del unreachable 10.2.0.0/16 table 7301 metric 4294967295'],
  ['a group', 'ip nexthop del id 7401002'],
  ['a rule', 'ip rule del pref 302'],
  ['a device', 'ip link del ist00'],
  ['a link', 'ip link set ist10 down'],
  ['the ruleset', 'nft delete table inet isthmus'],
  ['a peer', 'wg set ist00 peer "$(wg show ist00 peers)" remove', LOOKED_MS],
];

for (const [what, script, limitMs = TOLD_MS] of DAMAGE) {
  test(`isthmus-gateway puts back ${what} that somebody took away`, async (t) => {
    // The damage before may have cost a path, which comes back into its group later than into the kernel.
    await until(() => waiting(lab, ['east/gw-0']));
    const before = await held();
    await sh('east/gw-0', script);
    await within(t, limitMs, `${what} is back`, async () => isDeepStrictEqual(await held(), before));
  });
}

/** What keeps a path from being whole, as its host sees it. */
async function faults(host: string, path: string): Promise<string[]> {
  const said: unknown = JSON.parse(await sh(host, 'clusterctl show paths -o json'));
  const { state, misses, refusedSince } = v.parse(Paths, said).find((each) => each.path === path) ?? {};
  const isWhole = state === 'up' && misses === 0 && refusedSince === undefined;
  return isWhole ? [] : [`${host}: ${path} ${state}, ${misses} misses, refused since ${refusedSince}`];
}

const Paths = v.array(
  v.looseObject({
    path: v.string(),
    state: v.string(),
    misses: v.number(),
    refusedSince: v.optional(v.string()),
  }),
);

for (const [device, far, back] of [
  ['ist-link', 'worker-1', 'gw-0'],
  ['ist-sib', 'gw-1', 'node gw-0'],
] as const) {
  test(`isthmus-gateway is answered again on a device ${device} that was made anew`, async (t) => {
    const index = (): Promise<string> => sh('west/gw-0', `cat /sys/class/net/${device}/ifindex || true`);
    const whole = async (): Promise<string[]> =>
      (await Promise.all([faults('west/gw-0', `node ${far}`), faults(`west/${far}`, back)])).flat();
    await until(whole);
    const before = await index();
    await sh('west/gw-0', `ip link del ${device}`);
    await within(t, TOLD_MS, `${device} is back`, async () => {
      const now = await index();
      return now !== '' && now !== before;
    });
    // Who hears nothing is known for it by then.
    await sleep(3000);
    await within(t, TOLD_MS, 'both ends are answered', async () => (await whole()).length === 0);
    if (!t.passed) t.log(await whole());
  });
}

test('a gateway whose host forbids forwarding names what does, for as long as it does', async (t) => {
  const blocked = async (): Promise<string[]> => {
    const said: unknown = JSON.parse(await sh('west/gw-0', 'clusterctl show conditions -o json'));
    const found = v.parse(Conditions, said).filter(({ code }) => code === 'IST_GATEWAY_BLOCKED');
    return found.map(({ text }) => text);
  };
  const fault = await dropForwarded(lab, 'west/gw-0');
  await until(async () =>
    (await blocked()).length > 0 ? [] : ['nobody says that west/gw-0 does not forward'],
  );
  t.regex((await blocked()).join(), /"east".* chain lossy of table inet fault_.* drop/);
  await fault.undo();
  await until(blocked);
});

const Conditions = v.array(v.looseObject({ code: v.string(), text: v.string() }));

test('isthmus-route-agent changes nothing while the files of other clusters are lost, also when it starts anew', async (t) => {
  // What the tests before have broken again and again comes back into use later than packets pass again.
  const places = lab.nodes.map(({ place }) => place);
  await until(() => waiting(lab, places));
  await settle(lab);
  const [east, west] = ['east/pod-a', 'west/pod-a'].map((end) => lab.ends.find((each) => each.name === end));
  const to = west?.addresses.v4;
  t.truthy(to);
  await using still = await Stillness.begin(lab, [[east?.place ?? '', to ?? '']]);
  await sh('east/worker-1', 'rm -r /etc/isthmus/clusters');
  await lab.kill({ role: 'route-agent', site: 'east' }, 'SIGKILL');
  await startDaemon(lab, 'east/worker-1');
  await within(t, 10_000, 'the agent says what is lost', async () => {
    const state = await sh('east/worker-1', 'curl -s localhost:9474/state || true');
    return state.includes('clusterset.yaml lists') && state.includes('is lost');
  });
  await within(t, 20_000, 'the file is back', async () =>
    (await sh('east/worker-1', 'ls /etc/isthmus/clusters 2>/dev/null || true')).includes('west.yaml'),
  );
  await sleep(500);
  const { changes, sent, lost } = await still.end();
  if (changes.length > 0) t.log(await sh('west/gw-0', 'clusterctl show paths -o yaml'));
  t.deepEqual(changes, []);
  t.true(sent > 20);
  t.is(lost, 0);
});

test('a revoked member has no peer left anywhere within seconds, and its CIDRs stay unreachable', async (t) => {
  await sh('broker', 'clusterctl broker revoke west --yes');
  for (const gateway of ['east/gw-0', 'east/gw-1']) {
    await within(
      t,
      5000,
      `${gateway} has no peer`,
      async () => (await sh(gateway, 'wg show all peers')) === '',
    );
  }
  const routes = (): Promise<string> => sh('east/worker-1', 'ip route show table 7301 10.2.0.0/16');
  await within(t, 5000, 'the worker has no way there', async () => !(await routes()).includes('nhid'));
  t.regex(await routes(), /^unreachable 10\.2\.0\.0\/16 proto 73 metric 4294967295 $/m);
});

test('clusterctl leave on one gateway ends the whole cluster: every host is cleaned by its own daemon', async (t) => {
  await sh('east/gw-0', 'clusterctl leave --yes');
  for (const host of ['east/gw-0', 'east/gw-1', 'east/worker-1']) {
    await within(t, 10_000, `${host} is clean`, async () => {
      const left = await sh(
        host,
        "{ ip route show table all; ip rule; } | grep 'proto 73'; ip -o link | grep ': ist'; nft list tables | grep isthmus; true",
      );
      return left === '';
    });
  }
});
