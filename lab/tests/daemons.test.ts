import fs from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createClusterset,
  joinSite,
  Lab,
  siteDocument,
  startBroker,
  startDaemon,
  startDaemons,
  stopBroker,
} from '#lab';
import { CommandError } from '#lib/linux';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { Reaper } from './reaper.ts';
import { settle, unplanned, until } from './settled.ts';
import { kernels, Stillness } from './stillness.ts';

// One lab for all; each test leaves it settled.
const name = `d${process.pid % 100_000}`;
let lab: Lab;

const GATEWAY = 'east/gw-0';
const WORKER = 'east/worker-1';
/** Exit code of docs/reference/cli.md: this host cannot. */
const INCAPABLE = 5;

test.before(async () => {
  const one = { gateways: 1, workers: 1, podsPerWorker: 1, hostProcesses: 0 } as const;
  const north = { ...one, workers: 0, podsPerGateway: 0 };
  lab = await Lab.up({ sites: { east: one, west: { ...one, lanes: 2 }, north } }, { name });
  await createClusterset(lab);
  for (const site of SITES) {
    await joinSite(lab, site);
    await startDaemons(lab, site);
  }
  await rest();
});

test.after.always(async () => {
  await Lab.down(name);
});

const SITES = ['east', 'west'] as const;

const rest = (): Promise<void> => settle(lab, { sites: SITES });

async function sh(place: string, script: string): Promise<string> {
  return lab.place(place).exec(['sh', '-c', script]);
}

async function kill(place: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  for (const role of ['gateway', 'route-agent']) await lab.kill({ place, role }, signal);
}

/** As after a boot: the kernel holds nothing of ours, the disk what it held. */
const REBOOT = `
ip -o link | sed -n 's/^[0-9]*: \\(ist[-0-9][-a-z0-9]*\\).*/\\1/p' | while read -r d; do ip link delete $d; done
for f in 4 6; do
  ip -$f rule | sed -n 's/^\\(30[0-5]\\):.*/\\1/p' | while read -r p; do ip -$f rule delete pref $p; done
  for t in 7301 7302 7303 7310; do ip -$f route flush table $t 2>/dev/null; done
done
ip nexthop | sed -n 's/^id \\(7[0-9]*\\) .*/\\1/p' | while read -r id; do ip nexthop delete id $id 2>/dev/null; done
nft delete table inet isthmus
true`;

/** What a kernel holds of ours. What is made anew has another place in a list, another handle, another hardware address. */
async function held(place: string): Promise<string> {
  const text = (await kernels(lab, [place])).get(place) ?? '';
  const lines = text.replaceAll(/ # handle \d+| link\/ether \S+/g, '').split('\n');
  const own = lines.filter((line) => !/fe80::\S+ dev ist-node .*proto kernel/.test(line));
  return own.toSorted((a, b) => (a < b ? -1 : 1)).join('\n');
}

async function untilHeld(
  place: string,
  wanted: string,
  part = (text: string): string => text,
): Promise<void> {
  await until(async () => {
    const now = await held(place);
    if (part(now) === part(wanted)) return [];
    return [`${place} differs from what it held`, ...differences(part(wanted), part(now))];
  });
}

/** But for what is there only once a tunnel answers: that takes seconds where the other side has to notice first. */
function standing(text: string): string {
  return text.replaceAll(/^.*(nhid|id) 7[46]01\d{3} .*\n/gm, '');
}

function differences(wanted: string, now: string): string[] {
  const [before, after] = [wanted, now].map((text) => new Set(text.split('\n')));
  const missing = [...(before ?? [])].filter((line) => after?.has(line) !== true).map((line) => `- ${line}`);
  const surplus = [...(after ?? [])].filter((line) => before?.has(line) !== true).map((line) => `+ ${line}`);
  return [...missing, ...surplus];
}

/** Waits until it is dead; false for one that has come to rest without getting that far. */
async function dies(reaper: Reaper, place: string, rest: string): Promise<boolean> {
  for (let looks = 0; looks < 60; looks += 1) {
    if (await reaper.isDead()) return true;
    await sleep(50);
  }
  await until(async () =>
    (await reaper.isDead()) || standing(await held(place)) === standing(rest) ? [] : ['it goes on'],
  );
  return reaper.isDead();
}

/** Kills at each of the commands with which a daemon does what `disturb` calls for; then another one has to finish it. */
async function killAtEach(
  t: ExecutionContext,
  place: string,
  work: { reaper: Reaper; commands: number; disturb: (at: number) => Promise<string> },
): Promise<void> {
  const { reaper, commands, disturb } = work;
  let killed = 0;
  for (let at = 1; at <= commands; at += 1) {
    const wanted = await disturb(at);
    if (await dies(reaper, place, wanted)) killed += 1;
    await kill(place);
    await reaper.start(0);
    await untilHeld(place, wanted, standing);
  }
  await untilHeld(place, await disturb(0));
  t.log(`${place}: killed at ${killed} of ${commands} commands`);
  t.true(killed >= commands / 2, `${killed} of ${commands}`);
}

async function killInFirstApply(t: ExecutionContext, place: string): Promise<void> {
  const reaper = await Reaper.at(lab, place);
  const wanted = await held(place);
  const disturb = async (at: number): Promise<string> => {
    await kill(place);
    await sh(place, REBOOT);
    await reaper.start(at);
    return wanted;
  };
  await disturb(0);
  await untilHeld(place, wanted, standing);
  await killAtEach(t, place, { reaper, commands: await reaper.count(), disturb });
}

test('a daemon that is killed at any command of its first apply makes it right when it starts again', async (t) => {
  await Promise.all([GATEWAY, WORKER].map((place) => killInFirstApply(t, place)));
  await rest();
});

async function describe(lanes: number): Promise<void> {
  const file = path.join(lab.home.site('east').directory, 'site.yaml');
  await fs.writeFile(`${file}.new`, stringify({ ...siteDocument(lab.site('east')), lanes }));
  await fs.rename(`${file}.new`, file);
}

/** Describes east anew, and gives what its gateway holds once all has settled. */
async function changeTo(lanes: 1 | 2): Promise<string> {
  await describe(lanes);
  await until(async () =>
    (await held(GATEWAY)).includes('ist01') === (lanes === 2) ? [] : ['lanes are as before'],
  );
  await rest();
  return held(GATEWAY);
}

test('a daemon that is killed at any command of a change makes it right when it starts again', async (t) => {
  const reaper = await Reaper.at(lab, GATEWAY);
  await kill(GATEWAY);
  await reaper.start(0);
  await until(() => unplanned(lab, [GATEWAY]));
  const lanes = { 1: await held(GATEWAY), 2: await changeTo(2) };
  for (const to of [1, 2] as const) {
    const from = to === 1 ? 2 : 1;
    const disturb = async (at: number): Promise<string> => {
      await describe(from);
      await untilHeld(GATEWAY, lanes[from], standing);
      await reaper.arm(at);
      await describe(to);
      return lanes[to];
    };
    await untilHeld(GATEWAY, await disturb(0), standing);
    await killAtEach(t, GATEWAY, { reaper, commands: await reaper.count(), disturb });
  }
  await changeTo(1);
});

/** Streams in both families, both ways. */
function streams(): readonly (readonly [from: string, to: string])[] {
  const { v4 } = lab.pod('west/pod-a').end.addresses;
  const { v6 } = lab.pod('east/pod-a').end.addresses;
  return [
    ['east/pod-a', v4 ?? ''],
    ['west/pod-a', v6 ?? ''],
  ];
}

/** Whatever is done meanwhile, no packet is lost, and no kernel changes but where it is meant to. */
async function unmoved(
  t: ExecutionContext,
  disturb: () => Promise<void>,
  where = lab.nodes.map(({ place }) => place),
): Promise<void> {
  const before = await kernels(lab, where);
  await using watch = await Stillness.begin(lab, streams());
  await disturb();
  const { changes, sent, lost } = await watch.end();
  const moved = changes.filter((line) => where.some((place) => line.startsWith(`${place}: `)));
  t.deepEqual(moved, [], 'what the kernels reported');
  t.deepEqual([...(await kernels(lab, where))], [...before]);
  t.true(sent > 20, `${sent} packets sent`);
  t.is(lost, 0, `of ${sent} packets`);
}

/** Nodes that have daemons. */
const places = (): string[] => SITES.flatMap((site) => lab.site(site).nodes.map(({ place }) => place));

test('packets flow while every daemon is dead, and those that start again change nothing', async (t) => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const)
    await unmoved(t, async () => {
      await Promise.all(places().map((place) => kill(place, signal)));
      await sleep(1000);
      await Promise.all(places().map((place) => startDaemon(lab, place)));
      await until(() => unplanned(lab, places()));
    });
});

/** The exit status of a program that ends by itself, and what it said. */
async function ended(place: string, program: string): Promise<readonly [number | null, string]> {
  try {
    return [0, await lab.place(place).exec([program])];
  } catch (error) {
    if (error instanceof CommandError) return [error.exitCode, error.stderr];
    throw error;
  }
}

test('a second daemon on a host says who is there, and ends', async (t) => {
  await unmoved(t, async () => {
    for (const [place, program] of [
      [GATEWAY, 'isthmus-gateway'],
      [WORKER, 'isthmus-route-agent'],
    ] as const) {
      const [code, said] = await ended(place, program);
      t.is(code, INCAPABLE, said);
      t.regex(
        said,
        new RegExp(`Cannot start ${program}: ${program}, process \\d+ changes this host's network already`),
      );
    }
  });
});

test('of two daemons that are started at once, one works and one ends', async (t) => {
  await kill(GATEWAY);
  const start = (role: string): Promise<{ readonly log: string }> =>
    lab.place(GATEWAY).spawn({ role, argv: ['isthmus-gateway'] });
  const logs = await Promise.all([start('first'), start('second')]);
  const running = async (): Promise<number> =>
    (await lab.processes({ place: GATEWAY })).filter(({ role }) => role === 'first' || role === 'second')
      .length;
  await until(async () => ((await running()) === 1 ? [] : ['both run']));
  await until(() => unplanned(lab, [GATEWAY]));
  t.is(await running(), 1);
  const said = await Promise.all(logs.map(({ log }) => fs.readFile(log, 'utf8')));
  t.is(said.filter((text) => text.includes("changes this host's network already")).length, 1);
  for (const role of ['first', 'second']) await lab.kill({ place: GATEWAY, role });
  await startDaemon(lab, GATEWAY);
  await rest();
});

const STATE = '/var/lib/isthmus/state';
const LOG = (place: string): string => path.join(lab.home.logs, `gateway@${place.replace('/', '.')}.log`);

/** What the gateway's log says from now on. */
async function listen(): Promise<() => Promise<string>> {
  const from = (await fs.readFile(LOG(GATEWAY), 'utf8')).length;
  return async () => (await fs.readFile(LOG(GATEWAY), 'utf8')).slice(from);
}

/** Kinds of damage to "$1". */
const DAMAGE = {
  'cut off': 'truncate -s $(($(stat -c %s "$1") / 2)) "$1"',
  emptied: ': >"$1"',
  overwritten: 'head -c 300 /dev/urandom >"$1"',
} as const;

/** Every file of a gateway's state, and what its log says of one that is cut off. */
const FILES: Readonly<Record<string, RegExp>> = {
  'counters.json': /the counters file is damaged/,
  lock: /Started/,
  records: /the end of the records file is damaged and was left out/,
  'sysctls.json': /is truncated or damaged and was put aside/,
  'wireguard/lane-0.key': /holds no key; a new one is made/,
};

async function restartWithDamage(files: readonly string[], damage: string): Promise<void> {
  await kill(GATEWAY);
  for (const file of files) await lab.place(GATEWAY).exec(['sh', '-c', damage, 'sh', `${STATE}/${file}`]);
  await startDaemon(lab, GATEWAY);
}

test('a file of the state that is cut off is told of, and everything is right in the end', async (t) => {
  const files = (
    await sh(GATEWAY, `cd ${STATE}; find . -type f ! -name lane-1.key | sed 's|^./||' | LC_ALL=C sort`)
  )
    .trim()
    .split('\n');
  t.deepEqual(
    files,
    Object.keys(FILES).toSorted((a, b) => (a < b ? -1 : 1)),
  );
  for (const [file, words] of Object.entries(FILES)) {
    const said = await listen();
    const act = async (): Promise<void> => {
      await restartWithDamage([file], DAMAGE['cut off']);
      await until(async () => (words.test(await said()) ? [] : [`${file}: ${words}`]));
      await until(() => unplanned(lab, [GATEWAY]));
    };
    // With a new key, tunnels begin anew.
    if (file.endsWith('.key')) await act();
    else await unmoved(t, act);
    await rest();
  }
});

test('a state that is emptied or overwritten as a whole is made anew', async (t) => {
  for (const damage of [DAMAGE.emptied, DAMAGE.overwritten]) {
    await restartWithDamage(Object.keys(FILES), damage);
    await rest();
  }
  t.pass();
});

test('a gateway that has lost its records keeps what its kernel holds until the broker is back', async (t) => {
  await stopBroker(lab);
  const said = await listen();
  await unmoved(t, async () => {
    await restartWithDamage(['records'], DAMAGE.overwritten);
    await until(async () => ((await said()).includes('IST_STATE_LOST') ? [] : ['it does not say so']));
    await startBroker(lab);
    await until(() => unplanned(lab, [GATEWAY]));
  });
  await rest();
});

/** Fills the file system of the state until nothing more goes in; `rm` of the filler makes room again. */
const FILL = `dd if=/dev/zero of=${STATE}/filler bs=4k 2>/dev/null; dd if=/dev/zero of=${STATE}/filler bs=1 oflag=append conv=notrunc 2>/dev/null; true`;
const ROOM = `rm ${STATE}/filler`;

test('a gateway whose disk is full goes on with what it has, says what it cannot do, and does it once there is room', async (t) => {
  await kill(GATEWAY);
  await sh(
    GATEWAY,
    `cp -a ${STATE} ${STATE}.copy && mount -t tmpfs -o size=256k,mode=700 tmpfs ${STATE} && cp -a ${STATE}.copy/. ${STATE}/`,
  );
  await sh(GATEWAY, `rm -f ${STATE}/wireguard/lane-1.key`);
  await sh(GATEWAY, FILL);
  const said = await listen();
  const says = (words: RegExp): Promise<void> =>
    until(async () => (words.test(await said()) ? [] : [`it does not say ${words}`]));
  await unmoved(t, async () => {
    await startDaemon(lab, GATEWAY);
    await until(() => unplanned(lab, [GATEWAY]));
  });
  // What needs no disk is done.
  await joinSite(lab, 'north');
  await until(async () => ((await held(GATEWAY)).includes('unreachable 10.3.0.0/16') ? [] : ['no guard']));
  await says(/IST_STATE_UNWRITTEN.*What the broker says cannot be written to .*ENOSPC/);
  // A lane needs a key, and a key a disk.
  const asked = async (): Promise<void> => {
    await describe(2);
    await says(/IST_HOST_INCOMPLETE.*Cannot write \S+lane-1\.key.*ENOSPC/);
    await sleep(1000);
  };
  await unmoved(t, asked, [GATEWAY]);
  await sh(GATEWAY, ROOM);
  await says(/is on disk again/);
  await changeTo(2);
  await kill(GATEWAY);
  await sh(GATEWAY, `umount ${STATE}`);
  await describe(1);
  await startDaemon(lab, GATEWAY);
  await rest();
});

/** Milliseconds after its start: before it has read anything, in the middle of its first pass, at rest. */
const MOMENTS = [100, 300, 500, 700, 1000, 1500];
/** Two seconds are the daemon's own limit; a busy machine adds to it. */
const SOON_MS = 5000;

test('a daemon ends soon after it was asked to, whenever that is', async (t) => {
  for (const broker of ['there', 'away'] as const) {
    if (broker === 'away') await stopBroker(lab);
    for (const place of [GATEWAY, WORKER]) await kill(place);
    for (const moment of MOMENTS) {
      for (const place of [GATEWAY, WORKER]) await startDaemon(lab, place);
      await sleep(moment);
      const asked = Date.now();
      for (const place of [GATEWAY, WORKER]) await kill(place, 'SIGTERM');
      const took = Date.now() - asked;
      t.true(took < SOON_MS, `${took} ms, ${moment} ms after its start, broker ${broker}`);
    }
  }
  await startBroker(lab);
  for (const place of [GATEWAY, WORKER]) await startDaemon(lab, place);
  await rest();
});
